"""Reading at any offset: which record comes, whatever stands before it and whoever changes the segments meanwhile."""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

import eventlog
from eventlog import CorruptLogError, OffsetOutOfRangeError, Partition, StoreClosedError
from tests.support import stores

HEADERS_BYTES = 61 + 7  # of a batch and of its first record, with a key of a byte and a value of less than 64
LARGE = 5000  # bytes: more than the interval between entries of the index, and more than what is read at first


def value_of(offset: int) -> bytes:
    return b"value %d " % offset + bytes(offset % 7)


def fill(partition: Partition, count: int, seed: int) -> None:
    """Append values in units of any number of records, some small and some large."""
    chosen = random.Random(seed)
    while (first := partition.end_offset) < count:
        unit = chosen.choice([1, 1, 1, 3, 50])
        padding = bytes(chosen.choice([0, 0, LARGE, 20 * LARGE // unit]))
        partition.append_many([value_of(first + number) + padding for number in range(unit)])


@pytest.fixture(params=["256 KiB a segment", "one segment", "compressed"])
def filled(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Partition]:
    settings = {"256 KiB a segment": {"segment.bytes": 262144}, "compressed": {"compression.type": "gzip"}}
    stores.create(tmp_path / "store", **settings.get(request.param, {}))
    with eventlog.open(tmp_path / "store") as log:
        partition = stores.open_partition(log)
        fill(partition, 1500, seed=1)
        yield partition


def test_every_offset_is_found_in_any_order(filled: Partition) -> None:
    offsets = list(range(filled.end_offset))
    random.Random(2).shuffle(offsets)
    for offset in offsets:
        (record,) = filled.read(offset, 1)
        assert record.offset == offset and record.value is not None and record.value.startswith(value_of(offset))


def test_a_read_goes_on_over_batches_and_segments_as_far_as_it_was_asked_to(filled: Partition) -> None:
    for offset in range(0, filled.end_offset, 37):
        records = filled.read(offset, 100)
        assert [record.offset for record in records] == list(range(offset, min(offset + 100, filled.end_offset)))


@pytest.mark.parametrize("size", [LARGE, 100], ids=["large", "small"])
def test_a_damaged_batch_keeps_nobody_from_reading_the_large_one_behind_it(tmp_path: Path, size: int) -> None:
    stores.create(tmp_path / "store")
    with eventlog.open(tmp_path / "store") as log:
        partition = stores.open_partition(log)
        for number in range(3):
            partition.append_many([value_of(2 * number) + bytes(LARGE), value_of(2 * number + 1) + bytes(size)])
        path = stores.segments(tmp_path / "store")[0]
        content = path.read_bytes()
        at = content.index(value_of(2))
        path.write_bytes(content[:at] + b"V" + content[at + 1 :])
        for offset in (0, 1, 4, 5):
            assert [record.offset for record in partition.read(offset, 1)] == [offset]
        for offset in (2, 3):
            with pytest.raises(CorruptLogError):
                partition.read(offset, 1)


def test_a_wrong_length_that_leads_to_a_later_batch_is_no_gap_of_compaction(tmp_path: Path) -> None:
    stores.create(tmp_path / "store", **{"cleanup.policy": "compact"})
    with eventlog.open(tmp_path / "store") as log:
        partition = stores.open_partition(log)
        for number in range(6):
            partition.append_many([value_of(2 * number), bytes(LARGE)], keys=[b"a", b"b"])
        path = stores.segments(tmp_path / "store")[0]
        content = path.read_bytes()
        starts = [content.index(value_of(2 * number)) - HEADERS_BYTES for number in range(6)]
        lengths = [following - start - 12 for start, following in pairwise(starts)]
        at = starts[2] + 8
        assert content[at : at + 4] == lengths[2].to_bytes(4, "big")
        path.write_bytes(content[:at] + (lengths[2] + 12 + lengths[3]).to_bytes(4, "big") + content[at + 4 :])
        with pytest.raises(CorruptLogError):
            partition.read(6, 1)


def test_records_that_were_deleted_are_out_of_range_for_who_had_just_read_them(filled: Partition) -> None:
    middle = filled.end_offset // 2
    assert filled.read(middle - 1, 1)[0].offset == middle - 1
    filled.delete_records(middle)
    with pytest.raises(OffsetOutOfRangeError):
        filled.read(middle - 1, 1)
    assert filled.read(middle, 1)[0].offset == middle


def test_who_reads_at_the_end_gets_nothing_and_then_what_was_appended(partition: Partition) -> None:
    for offset in range(3):
        assert partition.read(offset) == []
        partition.append(value_of(offset))
        assert [record.value for record in partition.read(offset)] == [value_of(offset)]


def test_threads_read_anywhere_while_segments_are_rolled_and_deleted(tmp_path: Path) -> None:
    stores.create(tmp_path / "store", **{"segment.bytes": 16384})
    with eventlog.open(tmp_path / "store") as log:
        partition = stores.open_partition(log)
        for first in range(0, 1000, 100):
            partition.append_many([value_of(first + number) for number in range(100)])
        wrong: list[object] = []
        is_over = threading.Event()

        def read_anywhere(seed: int) -> None:
            chosen = random.Random(seed)
            while not is_over.is_set():
                offset = chosen.randrange(partition.start_offset, partition.end_offset)
                try:
                    records = partition.read(offset, chosen.choice([1, 700]))
                except OffsetOutOfRangeError:
                    continue  # deleted meanwhile
                expected = [(offset + number, value_of(offset + number)) for number in range(len(records))]
                if not records or [(record.offset, record.value) for record in records] != expected:
                    wrong.append(records)

        threads = [threading.Thread(target=read_anywhere, args=(seed,)) for seed in range(4)]
        for thread in threads:
            thread.start()
        for first in range(1000, 20_000, 100):
            partition.append_many([value_of(first + number) for number in range(100)])
            partition.delete_records(first - 900)
        is_over.set()
        for thread in threads:
            thread.join()
        assert wrong == []


def _open_files(suffix: str) -> int:
    links = [f"/proc/self/fd/{descriptor}" for descriptor in os.listdir("/proc/self/fd")]
    return sum(os.readlink(link).endswith(suffix) for link in links if os.path.islink(link))


def test_who_reads_anywhere_in_many_segments_of_many_partitions_has_few_of_them_open(tmp_path: Path) -> None:
    partitions, segments = 9, 20
    stores.create(tmp_path / "store", partitions, **{"segment.bytes": 4096})
    with eventlog.open(tmp_path / "store") as log:
        for number in range(partitions):
            partition = stores.open_partition(log, number)
            for offset in range(segments):
                partition.append(value_of(offset) + bytes(3000))
        before = _open_files(".log")
        for _ in range(2):
            for number in range(partitions):
                for offset in range(segments):
                    assert stores.open_partition(log, number).read(offset, 1)[0].offset == offset
        assert partitions < _open_files(".log") - before <= partitions + 64
        for number in range(partitions):
            stores.open_partition(log, number).delete_records(segments - 1)
            assert stores.open_partition(log, number).read(segments - 1, 1)
        assert _open_files(".log") - before <= partitions


def test_a_read_that_was_kept_reads_nothing_once_the_store_is_closed(store: Path) -> None:
    with eventlog.open(store) as log:
        partition = stores.open_partition(log)
        partition.append(b"value")
        read = partition.read
        assert len(read(0)) == len(read(0, 1)) == 1
    with pytest.raises(StoreClosedError):
        read(0)
