"""Records come back as they were appended, at the offsets that were returned."""

from __future__ import annotations

import gc
import threading
from pathlib import Path

import pytest

import eventlog
from eventlog import EventLog, InvalidArgumentError, OffsetOutOfRangeError, Partition, Record
from tests.support import stores


def test_offsets_count_up_from_zero_across_single_and_grouped_appends(partition: Partition) -> None:
    assert partition.append(b"a") == 0
    assert partition.append_many([b"b", b"c"]) == range(1, 3)
    assert partition.append(b"d") == 3
    assert (partition.start_offset, partition.end_offset) == (0, 4)
    assert list(partition.values()) == [b"a", b"b", b"c", b"d"]


def test_an_empty_partition_starts_and_ends_at_zero_and_reads_as_nothing(partition: Partition) -> None:
    assert (partition.start_offset, partition.end_offset, partition.durable_offset) == (0, 0, 0)
    assert partition.read(0) == []
    assert list(partition.values()) == list(partition.records()) == []


def test_a_record_has_all_seven_fields(partition: Partition) -> None:
    partition.append(b"value", b"key", [("trace", b"1")], 1234)
    expected = Record("events", 0, 0, 1234, b"key", b"value", (("trace", b"1"),))
    assert partition.read(0) == [expected]
    assert list(partition.records()) == [expected]
    assert type(partition.read(0)[0]) is Record


def test_records_that_a_program_keeps_are_no_work_for_the_garbage_collector(partition: Partition) -> None:
    partition.append_many([b"a", b"b"], headers=[None, [("name", b"value")]])
    kept = partition.read(0) + list(partition.records())
    assert [gc.is_tracked(record) for record in kept] == [False] * 4


def test_null_and_empty_keys_and_values_are_told_apart(partition: Partition) -> None:
    pairs = [(None, None), (None, b""), (b"", None), (b"", b""), (b"k", None), (None, b"v")]
    for key, value in pairs:
        partition.append(value, key)
    partition.append_many([value for _, value in pairs], keys=[key for key, _ in pairs])
    assert [(record.key, record.value) for record in partition.read(0)] == pairs * 2
    assert list(partition.values()) == [value for _, value in pairs] * 2


def test_headers_keep_order_repeated_names_nulls_and_any_text(partition: Partition) -> None:
    headers = [("b", b"1"), ("a", None), ("b", b"2"), ("", b""), ("größe", b"\0\xff")]
    partition.append(b"v", headers=headers)
    partition.append_many([b"w", b"x"], headers=[None, tuple(headers)])
    assert [record.headers for record in partition.read(0)] == [tuple(headers), (), tuple(headers)]


@pytest.mark.parametrize("size", [0, 1, 63, 64, 127, 128, 4000, 4096, 8192, 65_535, 65_536, 200_000, 1_000_000])
def test_values_of_any_size_come_back_bit_for_bit(partition: Partition, size: int) -> None:
    value = bytes((size * 31 + place * place) % 256 for place in range(min(size, 4096))).ljust(size, b"\xa5")
    partition.append(b"before")
    partition.append(value, value[:100])
    partition.append_many([value])
    partition.append(b"behind")
    assert list(partition.values()) == [b"before", value, value, b"behind"]
    assert partition.read(1, 1)[0].key == value[:100]


def test_append_many_larger_than_a_batch_is_one_unit(partition: Partition) -> None:
    values = [bytes([number % 251]) * 3000 for number in range(2000)]
    assert partition.append_many(values) == range(2000)
    assert list(partition.values()) == values


def test_append_many_of_nothing_appends_nothing(partition: Partition) -> None:
    assert len(partition.append_many([])) == 0
    assert partition.end_offset == 0


def test_append_many_takes_any_sequence(partition: Partition) -> None:
    assert len(partition.append_many((b"a", b"b"), keys=(b"k", None), timestamps=(1, 2))) == 2
    assert [(record.key, record.timestamp) for record in partition.read(0)] == [(b"k", 1), (None, 2)]


@pytest.mark.parametrize("name", ["keys", "headers", "timestamps"])
def test_append_many_refuses_lists_of_another_length(partition: Partition, name: str) -> None:
    lists = {name: [None, None]}
    with pytest.raises(InvalidArgumentError, match=rf"{name} has 2 items for 3 values"):
        partition.append_many([b"a", b"b", b"c"], **lists)  # type: ignore[arg-type]
    assert partition.end_offset == 0


def test_read_returns_at_most_max_records_from_any_offset(partition: Partition) -> None:
    for first in range(0, 100, 10):
        partition.append_many([b"%d" % number for number in range(first, first + 10)])
    for offset in range(101):
        for count in (1, 7, 500):
            expected = [b"%d" % number for number in range(offset, min(100, offset + count))]
            assert [record.value for record in partition.read(offset, count)] == expected
            assert [record.offset for record in partition.read(offset, count)] == list(
                range(offset, min(100, offset + count))
            )


def test_values_and_records_take_a_start_and_a_stop(partition: Partition) -> None:
    partition.append_many([b"%d" % number for number in range(50)])
    for start, stop in [(0, 50), (0, 0), (10, 20), (49, 50), (50, 50), (0, 1000), (20, 10), (None, 5), (45, None)]:
        expected = list(range(start or 0, min(50, 50 if stop is None else stop)))
        assert list(partition.values(start, stop)) == [b"%d" % number for number in expected]
        assert [record.offset for record in partition.records(start, stop)] == expected


def test_an_iteration_ends_where_the_partition_ended_when_it_began(partition: Partition) -> None:
    partition.append_many([b"a", b"b"])
    values = partition.values()
    records = partition.records()
    partition.append(b"c")
    assert list(values) == [b"a", b"b"]
    assert [record.value for record in records] == [b"a", b"b"]


@pytest.mark.parametrize("offset", [-1, 4, 2**40, 2**63, 2**80])
def test_an_offset_out_of_range_is_refused_with_the_range(partition: Partition, offset: int) -> None:
    partition.append_many([b"a", b"b", b"c"])
    for refused in (partition.read, partition.values, partition.records):
        with pytest.raises(OffsetOutOfRangeError, match="starts at 0 and ends at 3") as caught:
            list(refused(offset))
        assert (caught.value.offset, caught.value.start_offset, caught.value.end_offset) == (offset, 0, 3)
    assert partition.read(3) == []


def test_a_durable_read_shows_only_what_is_on_disk(tmp_path: Path) -> None:
    stores.create(tmp_path / "store")
    with eventlog.open(tmp_path / "store", fsync="never") as log:
        partition = stores.open_partition(log)
        partition.append_many([b"a", b"b"])
        partition.flush()
        partition.append(b"c")
        assert (partition.durable_offset, partition.end_offset) == (2, 3)
        assert [record.value for record in partition.read(0, durable=True)] == [b"a", b"b"]
        assert partition.read(2, durable=True) == []
        assert [record.value for record in partition.read(2)] == [b"c"]
        partition.flush()
        assert [record.value for record in partition.read(0, durable=True)] == [b"a", b"b", b"c"]


def test_with_fsync_always_everything_returned_is_durable(tmp_path: Path) -> None:
    stores.create(tmp_path / "store")
    with eventlog.open(tmp_path / "store", fsync="always") as log:
        partition = stores.open_partition(log)
        for number in range(5):
            offset = partition.append(b"%d" % number)
            assert partition.durable_offset > offset
        offsets = partition.append_many([b"x"] * 10)
        assert partition.durable_offset >= offsets.stop


def test_with_fsync_interval_everything_becomes_durable_without_a_flush(tmp_path: Path) -> None:
    stores.create(tmp_path / "store")
    with eventlog.open(tmp_path / "store", fsync="interval", fsync_interval_ms=10) as log:
        partition = stores.open_partition(log)
        offset = partition.append(b"a")
        assert partition.wait(offset, timeout=30, durable=True)
        assert partition.durable_offset == 1


def test_everything_is_there_after_reopening(store: Path) -> None:
    for opening in range(5):
        with eventlog.open(store) as log:
            partition = stores.open_partition(log)
            assert list(partition.values()) == [b"%d" % number for number in range(opening * 3)]
            partition.append(b"%d" % (opening * 3))
            partition.append_many([b"%d" % (opening * 3 + 1), b"%d" % (opening * 3 + 2)])


def test_partitions_of_a_topic_are_apart(tmp_path: Path) -> None:
    stores.create(tmp_path / "store", partitions=3)
    with eventlog.open(tmp_path / "store") as log:
        for number in range(3):
            assert stores.open_partition(log, number).append(b"%d" % number) == 0
        for number in range(3):
            assert [(record.partition, record.value) for record in stores.open_partition(log, number).read(0)] == [
                (number, b"%d" % number)
            ]


def test_two_handles_of_one_process_see_each_other(log: EventLog, store: Path) -> None:
    with eventlog.open(store) as other:
        ours, theirs = stores.open_partition(log), stores.open_partition(other)
        assert ours is not theirs
        ours.append(b"a")
        theirs.append(b"b")
        assert list(ours.values()) == list(theirs.values()) == [b"a", b"b"]
    ours.append(b"c")
    assert list(ours.values()) == [b"a", b"b", b"c"]


def test_threads_share_a_partition(partition: Partition) -> None:
    def append(thread: int) -> None:
        for number in range(300):
            partition.append(b"%d %d" % (thread, number))

    threads = [threading.Thread(target=append, args=(thread,)) for thread in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    values = [bytes(value or b"") for value in partition.values()]
    assert len(values) == 1200
    for number in range(4):
        expected = [b"%d %d" % (number, count) for count in range(300)]
        assert [value for value in values if value.startswith(b"%d " % number)] == expected


def test_headers_of_any_number_and_length_are_kept(tmp_path: Path) -> None:
    given = [[(f"name {number}", bytes(length))] * number for number in (1, 2, 7, 40) for length in (0, 1, 100, 250, 3000)]
    stores.create(tmp_path / "store")
    with eventlog.open(tmp_path / "store", fsync="never") as log, log.producer() as producer:
        partition = stores.open_partition(log)
        for headers in given:
            partition.append(b"x", None, headers)
        partition.append_many([b"x"] * len(given), headers=given)
        for headers in given:
            producer.send(stores.TOPIC, b"x", headers=headers)
        assert [list(record.headers) for record in partition.records()] == 3 * given
