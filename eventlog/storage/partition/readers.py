"""The idle readers of an open partition: each keeps a segment open for the next read in it."""

from __future__ import annotations

import weakref
from contextlib import suppress
from pathlib import Path

from eventlog.storage.partition.reader import LogReader
from eventlog.storage.partition.segment_list import SegmentList

SMALL_BLOCK_BYTES = 64 * 1024  # a read at some offset
LARGE_BLOCK_BYTES = 256 * 1024  # reading through a partition; the block and its objects fit in the second-level cache

_IDLE_READERS_MAX = 16
_SPARE_READERS_MAX = 64  # in all partitions together, not counting the first one of each; each has two files open
_spares = [None] * _SPARE_READERS_MAX  # one per reader that may still be created; not a lock, which a fork could find held


class ReaderPool:
    """Creates readers of one partition, and keeps the idle ones. Safe for use by several threads."""

    def __init__(self, directory: Path, segments: SegmentList, topic: str, partition: int) -> None:
        self._directory = directory
        self._segments = segments
        self._topic = topic
        self._partition = partition
        self.idle: list[LogReader] = []

    idle: list[LogReader]
    """The native functions take readers from this list and put them back."""

    def new(self, block_bytes: int = SMALL_BLOCK_BYTES) -> LogReader:
        """A reader that is never put back."""
        return LogReader(self._directory, self._segments, self._topic, self._partition, block_bytes)

    def take(self, offset: int) -> LogReader:
        """An idle reader that has the segment of the offset open, or else another reader. Drops readers whose segment was
        opened before the last roll or deletion, because their files occupy disk space."""
        idle = self.idle
        for reader in idle[::-1]:
            is_wanted = reader.has_open(offset)
            if is_wanted or not reader.is_current:
                with suppress(ValueError):  # another thread has taken it
                    idle.remove(reader)
                    if is_wanted:
                        return reader
        return self._another()

    def _another(self) -> LogReader:
        """A new reader while there are few, or the least recently used idle one."""
        idle = self.idle
        with suppress(IndexError):  # none is left, or other threads have taken them
            if len(idle) >= _IDLE_READERS_MAX:
                return idle.pop(0)
            if idle:
                spare = _spares.pop()
                reader = self.new()
                weakref.finalize(reader, _spares.append, spare).atexit = False
                return reader
        with suppress(IndexError):
            return idle.pop(0)
        return self.new()

    def put_back(self, reader: LogReader) -> None:
        """Make the reader idle again."""
        if len(self.idle) < _IDLE_READERS_MAX:
            self.idle.append(reader)

    def release_old(self) -> None:
        """Close the files of segments that were rolled, deleted or replaced."""
        for reader in self.idle[:]:
            if not reader.is_current:
                with suppress(ValueError):  # another thread has taken it
                    self.idle.remove(reader)

    def release_all(self) -> None:
        """Close all files."""
        self.idle.clear()
