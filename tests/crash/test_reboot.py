"""The machine goes down: what had not reached the disk is lost, torn or wrong, and the next opener recovers.

A store is filled and flushed, more is appended, and every process is killed. Then the head is made one of an earlier
boot, and the segment behind the last durable position is damaged as a power cut might leave it.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import eventlog
from tests.support import heads, kafka_format, payloads, stores, workers
from tests.support.kafka_format import ParsedBatch
from tests.support.processes import Interpreter
from tests.support.slow import slowly

_DURABLE_RECORDS = 5000
_LAST_RECORDS = 3
_INDEX_INTERVAL_BYTES = 4096
_BEFORE_MAGIC = range(12, 17)  # where the length of a batch has been written and its magic has not
_GARBAGE = random.Random(20260102).randbytes(4096)


class Downfall:
    """A store as a reboot left it, again and again: files are written back in place, so that they stay the same files."""

    def __init__(self, store: Path) -> None:
        self.store = store
        stores.create(store)
        with Interpreter(workers.append_flush_and_append, store, _DURABLE_RECORDS, _LAST_RECORDS) as writer:
            self.durable_offset, self.end_offset = writer.receive()
        position = heads.MappedHead(stores.head_file(store)).state.tail.position
        heads.simulate_reboot(stores.head_file(store))
        directory = stores.partition_directory(store)
        self._files = {path: path.read_bytes() for path in [*directory.iterdir(), stores.head_file(store)]}
        self.segment = stores.segments(store)[-1]
        self.data = self._files[self.segment][:position]
        self.batches = kafka_format.parse_batches(self.data)

    @property
    def last(self) -> ParsedBatch:
        return self.batches[-1]

    @property
    def durable_position(self) -> int:
        return next(batch.position for batch in self.batches if batch.base_offset == self.durable_offset)

    def restore(self, segment: bytes) -> None:
        """The state after the reboot, with these bytes in the segment and nothing in removed/."""
        for path, content in self._files.items():
            path.write_bytes(segment if path == self.segment else content)
        shutil.rmtree(self.store / "removed", ignore_errors=True)


@pytest.fixture(scope="module")
def downfall(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Downfall]:
    store = tmp_path_factory.mktemp("reboot") / "store"
    yield Downfall(store)
    shutil.rmtree(store)


def _check_values(partition: eventlog.Partition) -> None:
    checker = payloads.Checker()
    for offset, value in enumerate(partition.values()):
        checker.check(offset, value)
    assert checker.next_offset == partition.end_offset


def test_only_what_lies_behind_the_last_durable_position_is_scanned(downfall: Downfall) -> None:
    downfall.restore(downfall.data + bytes(5000))
    with eventlog.open(downfall.store) as log:
        partition = stores.open_partition(log)
        recovery = partition.recovery
        assert (recovery.outcome, recovery.segment) == ("trimmed", downfall.segment)
        largest = max(batch.size_bytes for batch in downfall.batches)
        behind = downfall.durable_position - recovery.scanned_from
        assert 0 <= behind <= _INDEX_INTERVAL_BYTES + largest
        assert recovery.scanned_from + recovery.scanned_bytes == len(downfall.data)
        assert recovery.scanned_bytes < len(downfall.data) // 20
        assert partition.end_offset == partition.durable_offset == downfall.end_offset
        _check_values(partition)
    assert downfall.segment.read_bytes() == downfall.data


def test_without_a_head_the_whole_segment_is_scanned_and_nothing_is_lost(downfall: Downfall) -> None:
    downfall.restore(downfall.data)
    head = stores.head_file(downfall.store)
    head.write_bytes(bytes(head.stat().st_size))
    with eventlog.open(downfall.store) as log:
        partition = stores.open_partition(log)
        assert (partition.recovery.outcome, partition.recovery.scanned_from) == ("clean", 0)
        assert partition.recovery.scanned_bytes == len(downfall.data)
        _check_values(partition)


_TAILS: dict[str, Callable[[bytes, int], bytes]] = {
    "cut": lambda data, at: data[:at],
    "cut, with preallocated zeros": lambda data, at: data[:at] + bytes(1000),
    "zeroed": lambda data, at: data[:at] + bytes(len(data) - at),
    "garbage": lambda data, at: data[:at] + _GARBAGE[: len(data) - at],
    "garbage and more of it": lambda data, at: data[:at] + _GARBAGE,
}


@pytest.mark.parametrize("tail", ["garbage", *slowly(*(tail for tail in _TAILS if tail != "garbage"))])
def test_a_tail_torn_at_any_byte_of_the_last_batch_is_cut_off_and_kept_aside(downfall: Downfall, tail: str) -> None:
    last = downfall.last
    for at in range(last.position, last.position + last.size_bytes):
        damaged = _TAILS[tail](downfall.data, at)
        if damaged.startswith(downfall.data):
            continue  # the batch ends with a zero, which zeros replaced
        torn = damaged[last.position :].rstrip(b"\0")
        if tail == "garbage" and at - last.position in _BEFORE_MAGIC:
            continue  # the next offset, the right length and another magic: tests/damage/test_other_formats.py
        downfall.restore(damaged)
        with eventlog.open(downfall.store, fsync="never") as log:
            partition = stores.open_partition(log)
            recovery = partition.recovery
            assert partition.end_offset == partition.durable_offset == last.base_offset >= downfall.durable_offset
            if torn:
                assert (recovery.outcome, recovery.truncated_at) == ("truncated", last.position), f"torn at byte {at}"
                assert recovery.truncated_bytes == len(torn)
                assert recovery.kept_at is not None
                assert recovery.kept_at.parent == stores.removed_directory(downfall.store)
                assert recovery.kept_at.read_bytes() == torn
            else:
                assert recovery.outcome == ("clean" if len(damaged) == last.position else "trimmed")
                assert recovery.kept_at is None
            assert partition.append(b"after the reboot") == last.base_offset
        batches = kafka_format.parse_batches(downfall.segment.read_bytes()[last.position :])
        assert [batch.leader_epoch for batch in batches] == [1 if torn else 0]


@pytest.mark.parametrize("tail", _TAILS)
def test_all_that_was_durable_is_there_when_nothing_else_is(downfall: Downfall, tail: str) -> None:
    downfall.restore(_TAILS[tail](downfall.data, downfall.durable_position))
    with eventlog.open(downfall.store) as log:
        partition = stores.open_partition(log)
        assert partition.recovery.damage is None
        assert partition.end_offset == downfall.durable_offset
        _check_values(partition)
        assert partition.append(b"after the reboot") == downfall.durable_offset
        assert [report.problems for report in log.verify()] == [[]]


def test_a_sector_that_was_not_written_again_is_where_the_log_ends_though_right_batches_stand_behind_it(
    downfall: Downfall,
) -> None:
    """The system had written the page with the beginning of a batch before that was appended, and the page behind it after."""
    for batch in downfall.batches[2000:2100]:
        sector_end = batch.position - batch.position % 512 + 512
        stale = downfall.data[: batch.position].ljust(sector_end, b"\0") + downfall.data[sector_end:]
        downfall.restore(stale)
        heads.forget_durable_position(stores.head_file(downfall.store))
        with eventlog.open(downfall.store) as log:
            partition = stores.open_partition(log)
            recovery = partition.recovery
            if stale == downfall.data:  # the offset begins with as many zeros
                assert (recovery.outcome, partition.end_offset) == ("clean", downfall.end_offset)
            else:
                assert (recovery.outcome, recovery.truncated_at) == ("truncated", batch.position), batch
                assert partition.end_offset == batch.base_offset


@pytest.mark.slow
def test_a_batch_that_is_wrong_without_such_a_sector_is_damage(downfall: Downfall) -> None:
    for batch in downfall.batches[2000:2100]:
        place = batch.position + batch.size_bytes - 1
        wrong = bytes([downfall.data[place] ^ 1])
        downfall.restore(downfall.data[:place] + wrong + downfall.data[place + 1 :])
        heads.forget_durable_position(stores.head_file(downfall.store))
        with eventlog.open(downfall.store) as log:
            partition = stores.open_partition(log)
            assert (partition.recovery.outcome, partition.end_offset) == ("damaged", downfall.end_offset)


_TIMES = [1000 + number for number in range(50)] + [9000] + [2000 + number for number in range(50)]


@pytest.mark.parametrize("kept", range(5))
@pytest.mark.parametrize("rest", [0, 1], ids=["cut", "zeroed"])
def test_a_time_index_of_which_only_the_beginning_was_on_disk_changes_no_answer(tmp_path: Path, kept: int, rest: int) -> None:
    """Its sectors and its size reach the disk apart from each other, and from those of the other files."""
    store = tmp_path / "store"
    stores.create(store, index_interval_bytes=256)
    with eventlog.open(store) as log:
        partition = stores.open_partition(log)
        for number, timestamp in enumerate(_TIMES):
            partition.append(b"%d" % number * 50, timestamp=timestamp)
    time_index = stores.segments(store)[0].with_suffix(".timeindex")
    whole = time_index.read_bytes()
    time_index.write_bytes(whole[: 12 * kept] + bytes(rest * (len(whole) - 12 * kept)))
    heads.simulate_reboot(stores.head_file(store))
    with eventlog.open(store) as log:
        partition = stores.open_partition(log)
        assert partition.offset_for_time(5000) == _TIMES.index(9000)
        assert partition.append(b"later", timestamp=4000) == len(_TIMES)
        assert partition.offset_for_time(5000) == _TIMES.index(9000)
        assert [report.problems for report in log.verify()] == [[]]


def test_each_truncation_begins_a_leader_epoch_at_the_offset_where_it_cut(downfall: Downfall) -> None:
    last = downfall.last
    downfall.restore(downfall.data[:-1])
    offsets = [0]
    for _ in range(3):
        with eventlog.open(downfall.store) as log:
            partition = stores.open_partition(log)
            assert partition.recovery.outcome == "truncated"
            offsets.append(partition.end_offset)
            partition.append(b"kept")
            partition.append(b"torn")
        content = downfall.segment.read_bytes()
        heads.forget_durable_position(stores.head_file(downfall.store))
        heads.simulate_reboot(stores.head_file(downfall.store))
        downfall.segment.write_bytes(content[:-1])
    assert offsets == [0, last.base_offset, last.base_offset + 1, last.base_offset + 2]
    checkpoint = stores.partition_directory(downfall.store) / "leader-epoch-checkpoint"
    expected = ["0", "4", *(f"{epoch} {offset}" for epoch, offset in enumerate(offsets))]
    assert checkpoint.read_text().splitlines() == expected
    with eventlog.open(downfall.store) as log:
        assert stores.open_partition(log).recovery.outcome == "truncated"
    kept = sorted(path.name for path in stores.removed_directory(downfall.store).iterdir())
    assert len(kept) == 4
    assert [batch.leader_epoch for batch in kafka_format.parse_log(downfall.segment)][-2:] == [2, 3]


def test_what_an_interrupted_recovery_kept_aside_is_not_overwritten(downfall: Downfall) -> None:
    """Recovery that was itself cut short, after the bytes were kept aside and before they were cut off."""
    last = downfall.last
    torn = downfall.data[last.position : -1]
    downfall.restore(downfall.data[:-1])
    removed = stores.removed_directory(downfall.store)
    removed.mkdir(parents=True)
    first = removed / f"{downfall.segment.stem}-{last.position}.bin"
    first.write_bytes(torn)
    with eventlog.open(downfall.store) as log:
        partition = stores.open_partition(log)
        assert partition.recovery.kept_at != first
        assert partition.end_offset == last.base_offset
    assert first.read_bytes() == torn
