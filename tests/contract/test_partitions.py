"""One partition by the contract: offsets, what a record keeps, reading, waiting and deleting."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from eventlog import (
    ConflictError,
    EventLogError,
    InvalidArgumentError,
    InvalidTypeError,
    NotSupportedError,
    OffsetOutOfRangeError,
    Record,
    RecordTooLargeError,
    contract,
)
from tests.contract.implementations import Implementation, those
from tests.contract.orders import TOPIC


def fill(partition: contract.Partition, count: int = 10) -> list[bytes]:
    values = [b"%d" % number for number in range(count)]
    partition.append_many(values, timestamps=[1000 * (number + 1) for number in range(count)])
    return values


def test_offsets_begin_at_zero_and_follow_each_other(partition: contract.Partition) -> None:
    assert (partition.start_offset, partition.end_offset) == (0, 0)
    assert [partition.append(b"value") for _ in range(3)] == [0, 1, 2]
    assert partition.append_many([b"a", b"b"]) == range(3, 5)
    assert partition.append_many([]) == range(0)
    assert (partition.start_offset, partition.end_offset) == (0, 5)


def test_every_client_sees_what_one_has_appended(log: contract.Log, other: contract.Log) -> None:
    assert log.partition(TOPIC, 1).append(b"here") == 0
    assert other.partition(TOPIC, 1).append(b"there") == 1
    for client in (log, other):
        assert list(client.partition(TOPIC, 1).values()) == [b"here", b"there"]
        assert client.partition(TOPIC, 0).end_offset == 0


def test_a_record_is_read_as_it_was_written(partition: contract.Partition) -> None:
    headers = [("trace", b"1"), ("trace", b"2"), ("empty", b""), ("null", None), ("ünïcode", b"\x00\xff")]
    partition.append(b"value", key=b"key", headers=headers, timestamp=1_700_000_000_000)
    expected = Record(TOPIC, 0, 0, 1_700_000_000_000, b"key", b"value", tuple(headers))
    assert partition.read(0) == [expected] == list(partition.records())


def test_empty_and_null_are_not_the_same(partition: contract.Partition) -> None:
    partition.append_many([b"", None, b"value", None], keys=[None, b"key", b"", None])
    found = [(record.key, record.value) for record in partition.read(0)]
    assert found == [(None, b""), (b"key", None), (b"", b"value"), (None, None)]


def test_lists_of_keys_headers_and_timestamps_have_an_item_for_each_value(partition: contract.Partition) -> None:
    partition.append_many([b"a", b"b"], keys=[b"k", None], headers=[None, [("name", b"x")]], timestamps=[5, 7])
    found = [(record.value, record.key, record.headers, record.timestamp) for record in partition.read(0)]
    assert found == [(b"a", b"k", (), 5), (b"b", None, (("name", b"x"),), 7)]


def test_a_record_without_a_timestamp_gets_one_between_its_neighbours_in_time(partition: contract.Partition) -> None:
    partition.append(b"value")
    partition.append(b"value")
    first, second = (record.timestamp for record in partition.read(0))
    assert 1_600_000_000_000 < first <= second


def test_reading_goes_on_where_it_ended(partition: contract.Partition) -> None:
    values = fill(partition)
    assert [record.value for record in partition.read(0, max_records=4)] == values[:4]
    assert [record.offset for record in partition.read(4, max_records=100)] == list(range(4, 10))
    assert partition.read(10) == []


def test_a_range_of_records_is_read(partition: contract.Partition) -> None:
    values = fill(partition)
    assert list(partition.values(3, 6)) == values[3:6] == [record.value for record in partition.records(3, 6)]
    assert list(partition.values(start=8)) == values[8:] and list(partition.values(stop=2)) == values[:2]
    assert list(partition.values(5, 5)) == [] and list(partition.values(5, 100)) == values[5:]


def test_records_that_come_while_one_iterates_are_not_in_it(partition: contract.Partition) -> None:
    values = fill(partition)
    iterator = partition.values()
    assert next(iterator) == values[0]
    partition.append(b"later")
    assert list(iterator) == values[1:]


def test_a_record_is_found_by_its_time(partition: contract.Partition) -> None:
    fill(partition)
    found = [partition.offset_for_time(timestamp) for timestamp in (0, 1000, 1001, 2000, 9999, 10_000, 10_001)]
    assert found == [0, 0, 1, 1, 9, 9, None]


def test_the_first_of_all_timestamps_is_kept_or_refused(implementation: Implementation, partition: contract.Partition) -> None:
    if implementation.is_cluster:
        with pytest.raises(NotSupportedError, match="use 1"):
            partition.append(b"value", timestamp=0)
        assert partition.end_offset == 0
        return
    partition.append(b"value", timestamp=0)
    assert [record.timestamp for record in partition.read(0)] == [0]


def test_waiting_for_what_is_there_returns_at_once(partition: contract.Partition) -> None:
    fill(partition)
    assert partition.wait(0) and partition.wait(9)
    assert not partition.wait(10, timeout=0) and not partition.wait(1000, timeout=0.01)


def test_a_wait_ends_when_another_client_appends(log: contract.Log, other: contract.Log) -> None:
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(log.partition(TOPIC, 0).wait, 1, timeout=30)
        other.partition(TOPIC, 0).append_many([b"first", b"second"])
        assert waiting.result()


@pytest.mark.parametrize("implementation", those(lambda each: each.is_cluster), indirect=True)
def test_an_append_on_a_condition_is_refused_where_nobody_checks_it(partition: contract.Partition) -> None:
    with pytest.raises(NotSupportedError, match="expected_end_offset"):
        partition.append(b"a", expected_end_offset=0)
    with pytest.raises(NotSupportedError, match="expected_end_offset"):
        partition.append_many([b"a"], expected_end_offset=0)
    assert partition.end_offset == 0


@pytest.mark.parametrize("implementation", those(lambda each: not each.is_cluster), indirect=True)
def test_an_append_may_depend_on_where_the_log_ends(log: contract.Log, other: contract.Log) -> None:
    here, there = log.partition(TOPIC, 0), other.partition(TOPIC, 0)
    assert here.append_many([b"a", b"b"], expected_end_offset=0) == range(2)
    assert there.append(b"c", expected_end_offset=2) == 2
    with pytest.raises(ConflictError, match="ends at offset 3, not at 2"):
        here.append_many([b"d", b"e"], expected_end_offset=2)
    with pytest.raises(ConflictError, match="ends at offset 3, not at 4"):
        here.append(b"d", expected_end_offset=4)
    assert list(there.values()) == [b"a", b"b", b"c"]


def test_after_a_flush_everything_is_durable(partition: contract.Partition) -> None:
    fill(partition)
    assert partition.durable_offset <= partition.end_offset
    partition.flush()
    assert partition.durable_offset == 10
    assert len(partition.read(0, durable=True)) == 10 and partition.wait(9, timeout=0, durable=True)


def test_flushing_the_log_flushes_its_partitions(log: contract.Log) -> None:
    for number in range(2):
        log.partition(TOPIC, number).append(b"value")
    log.flush()
    assert [log.partition(TOPIC, number).durable_offset for number in range(2)] == [1, 1]


def test_deleted_records_are_gone_for_every_reader(log: contract.Log, other: contract.Log) -> None:
    partition = log.partition(TOPIC, 0)
    values = fill(partition)
    assert partition.delete_records(4) == 4
    assert other.partition(TOPIC, 0).start_offset == 4 and list(other.partition(TOPIC, 0).values()) == values[4:]
    with pytest.raises(OffsetOutOfRangeError):
        other.partition(TOPIC, 0).read(3)
    with pytest.raises(OffsetOutOfRangeError):
        partition.delete_records(3)
    assert partition.delete_records(10) == 10 and partition.append(b"value") == 10


def _any(value: object) -> Any:
    return value


Refused = Callable[[contract.Partition], object]

REFUSED: dict[str, tuple[Refused, type[EventLogError]]] = {
    "a value that is text": (lambda p: p.append(_any("text")), InvalidTypeError),
    "a key that is text": (lambda p: p.append(b"value", key=_any("text")), InvalidTypeError),
    "a header whose value is text": (lambda p: p.append(b"value", headers=_any([("name", "text")])), InvalidTypeError),
    "a header whose name is bytes": (lambda p: p.append(b"value", headers=_any([(b"name", b"x")])), InvalidTypeError),
    "a timestamp that is a fraction": (lambda p: p.append(b"value", timestamp=_any(1.5)), InvalidTypeError),
    "one bad value of several": (lambda p: p.append_many([b"good", _any("text")]), InvalidTypeError),
    "fewer keys than values": (lambda p: p.append_many([b"a", b"b"], keys=[b"k"]), InvalidArgumentError),
    "a record that is too large": (lambda p: p.append(bytes(2_000_000)), RecordTooLargeError),
    "reading behind the end": (lambda p: p.read(11), OffsetOutOfRangeError),
    "reading before the start": (lambda p: p.read(-1), OffsetOutOfRangeError),
    "reading at an offset that is text": (lambda p: p.read(_any("0")), InvalidTypeError),
    "reading no records": (lambda p: p.read(0, max_records=0), InvalidArgumentError),
    "iterating from behind the end": (lambda p: list(p.values(11)), OffsetOutOfRangeError),
    "waiting for a negative offset": (lambda p: p.wait(-1, timeout=0), InvalidArgumentError),
    "waiting for a text": (lambda p: p.wait(0, timeout=_any("1")), InvalidTypeError),
    "deleting past the end": (lambda p: p.delete_records(11), OffsetOutOfRangeError),
    "a time that is text": (lambda p: p.offset_for_time(_any("now")), InvalidTypeError),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_is_refused_and_changes_nothing(partition: contract.Partition, what: str) -> None:
    values = fill(partition)
    do, error = REFUSED[what]
    with pytest.raises(error):
        do(partition)
    assert list(partition.values()) == values
