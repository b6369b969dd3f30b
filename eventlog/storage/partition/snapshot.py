"""A snapshot of a partition that need not be open here: the record at an offset, and how much follows it."""

from __future__ import annotations

from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from eventlog._native import lib
from eventlog.errors import EventLogError
from eventlog.storage.mapped.foreign_heads import PartitionOffsets, trusted_head
from eventlog.storage.partition.last_record import last_record_end
from eventlog.storage.partition.reader import LogReader
from eventlog.storage.partition.segment_list import SegmentList
from eventlog.storage.partition.timestamps import record_for_time
from eventlog.storage.segments import names

_BLOCK_BYTES = 8192  # a record and its neighbours; a larger batch is still read whole


class SnapshotHead:
    """The head of a partition that this process does not have open, mapped briefly: what a reader needs from it."""

    def __init__(self, pointer: Any) -> None:
        self.pointer = pointer

    @property
    def may_have_gaps(self) -> bool:
        """May records be missing from the middle, because compaction or repair has removed them or may do so?"""
        return bool(lib.el_head_may_have_gaps(self.pointer))

    @property
    def poison(self) -> int:
        """The errno of the failure that poisoned the partition, `DAMAGED`, `DELETED`, or 0."""
        return int(lib.el_head_poison(self.pointer))


class PartitionSnapshot:
    """A partition that this process need not have open."""

    def __init__(self, directory: Path, topic: str, partition: int, head: SnapshotHead) -> None:
        self._directory = directory
        self._segments = SegmentList(directory, head)
        self._topic = topic
        self._partition = partition

    def _reader(self) -> LogReader:
        return LogReader(self._directory, self._segments, self._topic, self._partition, _BLOCK_BYTES)

    def behind(self, offset: int, end_offset: int) -> tuple[int, int]:
        """The number of bytes of batches from this offset on, and the timestamp of the first record there (-1: no record).

        Raises `OffsetOutOfRangeError`, `CorruptLogError`."""
        with closing(self._reader()) as reader:
            reader.seek(offset)
            base, position = reader.locate(end_offset)
            records = reader.records(1, end_offset)
        return self._segments.bytes_from(base) - position, records[0].timestamp if records else -1

    def last_record_end(self, start_offset: int, end_offset: int) -> int:
        """The offset after the last record between these two offsets. Raises `OffsetOutOfRangeError`, `CorruptLogError`."""
        return last_record_end(self._reader, start_offset, end_offset)

    def offset_for_time(self, timestamp: int, start_offset: int, end_offset: int) -> int | None:
        """The first offset whose record has this timestamp or a later one, or None. Raises `CorruptLogError`."""
        with closing(self._reader()) as reader:
            found = record_for_time(self._directory, self._segments, reader, timestamp, start_offset, end_offset)
            return None if found is None else found.offset


class Ends:
    """The ends of the last records. Each is searched for once, even if many groups have committed in one partition."""

    def __init__(self, store: Path) -> None:
        self._store = store
        self._found: dict[tuple[str, int], int] = {}

    def lag(self, topic: str, partition: int, committed: int, offsets: PartitionOffsets) -> int:
        """The number of offsets from a committed one up to the end; 0 if none of them has a record, because the log may end in
        a gap or in the marker of a transaction."""
        position = max(committed, offsets.start_offset)
        if position >= offsets.end_offset or position >= self._last_record_end(topic, partition, offsets):
            return 0
        return offsets.end_offset - position

    def _last_record_end(self, topic: str, partition: int, offsets: PartitionOffsets) -> int:
        found = self._found.get((topic, partition))
        if found is None:
            found = offsets.end_offset
            with suppress(EventLogError):
                if (seen := take_partition_snapshot(self._store, topic, partition)) is not None:
                    found = seen.last_record_end(offsets.start_offset, offsets.end_offset)
            self._found[topic, partition] = found
        return found


def take_partition_snapshot(store: Path, topic: str, partition: int) -> PartitionSnapshot | None:
    """A snapshot of a partition; None if its head cannot be trusted, so that the partition would have to be opened."""
    head = trusted_head(store, topic, partition)
    directory = names.partition_directory(store, topic, partition)
    return None if head is None else PartitionSnapshot(directory, topic, partition, SnapshotHead(head))
