"""The read path: finding the segment and batch of an offset, and reading segments in order."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from eventlog._native import BaseReader, PartitionIterator, ffi, lib
from eventlog.errors import (
    ConcurrentUseError,
    CorruptLogError,
    EventLogError,
    UnsupportedCodecError,
    translates_os_errors,
)
from eventlog.records.attributes import COMPRESSION
from eventlog.records.columns import Columns
from eventlog.records.compression import decompress
from eventlog.records.native_reader import new_native_reader
from eventlog.records.record import Record, TopicPartition
from eventlog.storage.partition.columns import ColumnSelection, take_columns
from eventlog.storage.partition.committed import AbortedRecords
from eventlog.storage.partition.search import Query
from eventlog.storage.partition.segment_list import SegmentList
from eventlog.storage.segments import files, names
from eventlog.storage.segments.damage import damaged, gap, wrong_batch

_BLANK_BLOCK_BYTES = 65536

MAKE: Any = tuple.__new__ if sys.version_info >= (3, 14) else None
"""How native functions create a `Record`; None: they fill in its fields themselves. From Python 3.14 on, a tuple caches its
hash in a field that only `tuple.__new__` initialises."""


@translates_os_errors()
class LogReader(BaseReader):
    """Reads one partition from an offset on. Not for several threads at once."""

    _open_segment: Any = None  # a default for `close`, because memory may run out before `__init__` has finished

    def __init__(self, directory: Path, segments: SegmentList, topic: str, partition: int, block_bytes: int) -> None:
        self._directory = directory
        self._segments = segments
        self._topic = topic
        self._partition = partition
        self._decompressed: Any = None
        self._aborted: AbortedRecords | None = None
        self._native: Any = new_native_reader(block_bytes)
        self._open_segment = ffi.addressof(self._native, "segment")
        address = int(ffi.cast("uintptr_t", self._native))
        super().__init__(address, self._native, Record, MAKE, topic, partition)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._directory}>"

    def skip_aborted(self, aborted: AbortedRecords) -> None:
        """Let `records` pass over the records of aborted transactions."""
        self._aborted = aborted

    def close(self) -> None:
        """Close the segment that is being read."""
        if self._open_segment is not None:
            lib.el_segment_close(self._open_segment)

    __del__ = close  # the plain function: calling the wrapper that `translates_os_errors` creates would need memory

    def has_open(self, offset: int) -> bool:
        """Is the segment that contains the offset open?"""
        return bool(lib.el_segment_holds(self._open_segment, offset, self._segments.version))

    @property
    def is_current(self) -> bool:
        """Was no segment added, deleted or replaced since this one was opened?"""
        return self._segments.is_current(self._open_segment)

    @property
    def _base_offset(self) -> int:
        return int(self._open_segment.base_offset)

    @property
    def next_offset(self) -> int:
        """The offset that will be read next."""
        return int(self._native.next_offset)

    def check_idle(self) -> None:
        """Raise `ConcurrentUseError` if records are being created from what it has read."""
        if self._native.is_busy:
            raise self._in_use()

    def seek(self, offset: int) -> None:
        """Continue at an offset that lies within the partition."""
        if self.is_current and self._open_segment.base_offset >= 0 and offset == self.next_offset:
            return
        self._go_to(offset)

    def _go_to(self, offset: int) -> None:
        """Open the segment that holds the offset, and continue from there."""
        self._segments.open_holding(self._open_segment, offset)
        self._native.allow_gaps = self._segments.may_have_gaps
        self._find(self._base_offset, offset)

    def locate(self, stop: int) -> tuple[int, int]:
        """The base offset of the segment, and the position in it, of the batch that holds the next record below `stop`, or of
        where that batch would be."""
        self._load(stop)
        return self._base_offset, int(lib.el_reader_batch_position(self._native))

    def value_iterator(self, start: int, stop: int, check: Callable[[], object]) -> Iterator[bytes | None]:
        """The values of the records from `start` up to `stop`; nothing else may use the reader from then on.

        `check` is called before each block of the log is read, and may raise."""
        return self._iterator(start, stop, check, has_records=False)

    def record_iterator(self, start: int, stop: int, check: Callable[[], object]) -> Iterator[Record]:
        """Like `value_iterator`, but with whole records."""
        return self._iterator(start, stop, check, has_records=True)

    def _iterator(self, start: int, stop: int, check: Callable[[], object], *, has_records: bool) -> Iterator[Any]:
        self._native.next_offset = start
        return PartitionIterator(self, functools.partial(self.go_on, stop, check), stop, has_records)

    def columns(
        self, start: int, stop: int, count_max: int, selection: ColumnSelection, check: Callable[[], object]
    ) -> Iterator[Columns]:
        """Like `record_iterator`, but as columns of at most `count_max` records."""
        self._native.next_offset = start
        status = 0
        while self.go_on(stop, check, status):
            columns, status = take_columns(self._native, count_max, stop, selection)
            if columns is not None:
                yield columns

    def go_on(self, stop: int, check: Callable[[], object], status: int) -> bool:
        """Called by an iterator for more records below `stop`, with the status of its last `take`; False: there are no more."""
        self._took(status)
        if self.next_offset >= stop:
            self.close()
            return False
        check()
        if self._base_offset < 0:
            self._go_to(self.next_offset)
        return self._load(stop)

    def records(self, count_max: int, stop: int) -> list[Record]:
        """Up to `count_max` records below `stop`; [] only when `stop` is reached."""
        if self._aborted is not None:
            self._aborted.tell(self._native, self.next_offset)
        records: list[Record] = []
        while len(records) < count_max and self._load(stop):
            self._took(self.take(records, count_max - len(records), stop))
        return records

    def found(self, query: Query, count_max: int, stop: int) -> list[Record]:
        """Up to `count_max` records below `stop` that match the query, from one block of the log: [] does not mean the end."""
        records: list[Record] = []
        if self._load(stop):
            self._took(self.take_found(query.address, query.accepts, records, count_max, stop))
        return records

    def _took(self, count: int) -> None:
        if count >= 0:
            return
        if count == lib.EL_TAKEN_BUSY:
            raise self._in_use()
        if count == lib.EL_TAKEN_NO_MEMORY:
            raise MemoryError("memory ran out while records were read")
        raise self._corrupt()

    def _in_use(self) -> ConcurrentUseError:
        return ConcurrentUseError(
            f"{self!r} is in use by another thread, or by a caller further up in this one (a finalizer may have "
            "interrupted it): give each of them its own iterator or consumer"
        )

    def _find(self, base_offset: int, offset: int) -> None:
        """Continue at an offset of the open segment, found with its index if it has one."""
        with suppress(FileNotFoundError):
            self._segments.open_index(self._open_segment)
        if not lib.el_reader_find(self._native, offset):
            lib.el_segment_close_index(self._open_segment)
            self._segments.index_lies(base_offset)

    def _load(self, stop: int) -> bool:
        """Load and check records below `stop`; False if there are none."""
        while self.next_offset < stop:
            status = lib.el_reader_load(self._native, stop)
            if status == lib.EL_READ_READY:
                return True
            if status == lib.EL_READ_COMPRESSED:
                self._decompress()
                return True
            if status != lib.EL_READ_END_OF_SEGMENT:
                raise self._corrupt(status)
            if self.next_offset < stop and not self._next_segment(stop):
                self._native.next_offset = stop  # a gap extends up to there: otherwise every later call would search it again
                return False
        return False

    def _next_segment(self, stop: int) -> bool:
        """Continue in the following segment; False if there is nothing below `stop`."""
        if self._segments.may_have_gaps and self._was_replaced():
            self.close()
            self._go_to(self.next_offset)
            return True
        following = self._segments.after(self._base_offset)
        if following is not None:
            self._check_whole()
        is_gap = following != self._native.following_base and not self._segments.may_have_gaps
        if following is None or is_gap:
            self._segments.check_not_deleted(self.next_offset)
            position = lib.el_reader_batch_position(self._native)
            path = names.segment_file(self._directory, self._base_offset)
            end = self._native.following_base
            if following is not None and following > end:
                raise self._damaged(path, position, gap(end, following))
            raise self._damaged(path, position, f"the segment ends at offset {end}, before {following or stop}")
        if following > self.next_offset and following >= stop:
            self._native.next_offset = stop  # `stop` lies in a gap that compaction left
            return False
        offset = max(following, self.next_offset)
        if self._segments.open(self._open_segment, following):
            self._native.allow_gaps = self._segments.may_have_gaps
            lib.el_reader_seek(self._native, 0, following, offset)
        else:
            self._go_to(self.next_offset)
        return True

    def _check_whole(self) -> None:
        """Raise `CorruptLogError` if anything follows the zeros. In a segment that has a successor, zeros mark the end only if
        nothing else follows them."""
        end = lib.el_reader_batch_position(self._native)
        position = end
        while block := files.read_at(self._open_segment.fd, _BLANK_BLOCK_BYTES, position):
            if block.count(0) < len(block):
                path = names.segment_file(self._directory, self._base_offset)
                raise self._damaged(path, end, "there are zeros where a batch should be, and the segment continues after them")
            position += len(block)

    def _was_replaced(self) -> bool:
        """Is the next offset in a different file from the one that was read to its end? Compaction may have merged the
        following segments into one with the same base offset, so the names alone cannot tell."""
        self._segments.list_again()
        base = self._segments.holding(self.next_offset)
        return base != self._base_offset or not self._is_open_file(base)

    def _is_open_file(self, base_offset: int) -> bool:
        """Is the file of this segment the one that this reader has open?"""
        try:
            found = os.stat(names.segment_file(self._directory, base_offset))
        except FileNotFoundError:
            return False
        return os.path.samestat(found, os.fstat(self._open_segment.fd))

    def _decompress(self) -> None:
        length = ffi.new("size_t *")
        compressed = lib.el_reader_compressed(self._native, length)
        codec = self._native.batch.attributes & COMPRESSION
        position = lib.el_reader_batch_position(self._native)
        try:
            data = decompress(codec, bytes(ffi.buffer(compressed, length[0])))
        except UnsupportedCodecError as error:
            told = UnsupportedCodecError(f"{self._topic}/{self._partition}, offset {self.next_offset}: {error}")
            told.topic_partition = TopicPartition(self._topic, self._partition)
            raise told from error
        except ValueError as error:
            path = names.segment_file(self._directory, self._base_offset)
            raise self._damaged(path, position, f"a batch that cannot be decompressed: {error}") from error
        self._decompressed = ffi.from_buffer("uint8_t[]", data)
        if lib.el_reader_set_records(self._native, self._decompressed, len(data)) != lib.EL_READ_READY:
            raise self._corrupt()

    def _damaged(self, path: Path, position: int, reason: str) -> CorruptLogError:
        return damaged(path, position, reason, self.next_offset)

    def _corrupt(self, status: int = -1) -> EventLogError:
        path = names.segment_file(self._directory, self._base_offset)
        position = self._native.error_position
        if status == lib.EL_READ_BUSY:
            return self._in_use()
        if status == lib.EL_READ_NO_MEMORY:
            return EventLogError(f"memory ran out while {path} was read")
        if status == lib.EL_READ_IO_ERROR:
            position = lib.el_reader_batch_position(self._native)
            return self._damaged(path, position, f"reading failed: {os.strerror(self._native.error_number)}")
        error = wrong_batch(path, position, self._native.codec_status, self._native.following_base, self.next_offset)
        self.close()
        return error
