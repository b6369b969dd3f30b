"""The list of an open partition's segments, for its readers."""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from eventlog._native import ffi, lib
from eventlog.access import open_existing_into
from eventlog.anchored import opening
from eventlog.errors import OffsetOutOfRangeError, StoreClosedError, TopicNotFoundError
from eventlog.storage.mapped.poison import DELETED
from eventlog.storage.segments import files, names
from eventlog.storage.segments.damage import damaged
from eventlog.storage.segments.start import missing_beginning

_OFFSET_END = 2**63 - 1


class _Head(Protocol):
    """What a reader needs from a partition's head. `pointer` is the native `el_head`."""

    @property
    def pointer(self) -> Any: ...

    @property
    def may_have_gaps(self) -> bool: ...

    @property
    def poison(self) -> int: ...


class SegmentList:
    """The base offsets of a partition's segments, listed again after one was added or deleted.

    Offsets are consecutive unless the head says that there may be gaps. `rebuild_indexes` is called with the base offset of a
    segment whose index was found to be wrong."""

    def __init__(self, directory: Path, head: _Head, rebuild_indexes: Callable[[int], None] | None = None) -> None:
        self._directory = directory
        self._dir_fd, self._prefix = opening(directory)
        self._head = head
        self._rebuild_indexes = rebuild_indexes
        self._lying: set[int] = set()
        # One tuple with the version that was listed, so that it is replaced as a whole: several threads list.
        self._listed: tuple[int, list[int]] = (-1, [])

    @property
    def may_have_gaps(self) -> bool:
        """May records be missing from the middle, because compaction or repair has removed them or may do so?"""
        return self._head.may_have_gaps

    def check_topic(self) -> None:
        """Raise `TopicNotFoundError` if the topic was deleted."""
        if self._head.poison == DELETED:
            raise TopicNotFoundError(f"the topic of {self._directory.name} was deleted")

    def check_not_deleted(self, offset: int) -> None:
        """Raise `OffsetOutOfRangeError` if the partition's start offset is now past this offset."""
        self.check_topic()
        start_offset, end_offset = self.bounds()
        if offset < start_offset:
            raise OffsetOutOfRangeError(self._directory.name, offset, start_offset, end_offset)

    def _mapped(self) -> Any:
        head = self._head.pointer
        if head is None:
            raise StoreClosedError(f"the partition in {self._directory} is closed")
        return head

    def bounds(self) -> tuple[int, int]:
        """The partition's start offset and its end offset."""
        head = self._mapped()
        return int(lib.el_head_start_offset(head)), int(lib.el_head_end_offset(head))

    @property
    def version(self) -> int:
        """Grows whenever a segment is added, deleted or replaced."""
        return int(lib.el_head_segments_version(self._mapped()))

    def bases(self) -> list[int]:
        """All base offsets, in order."""
        version, (listed_version, bases) = self.version, self._listed
        if version != listed_version:
            try:
                bases = files.segment_bases(self._directory)
            except FileNotFoundError as error:
                self.check_topic()
                raise damaged(self._directory, 0, "the partition's directory is missing") from error
            self._listed = (version, bases)
            self._lying.clear()
        return bases

    def list_again(self) -> None:
        """Forget the list: segments are about to be deleted or replaced, or just were, so it may be out of date."""
        self._listed = (-1, [])

    def index_lies(self, base_offset: int) -> None:
        """An index entry does not point to a batch: have the indexes of the segment rebuilt, once."""
        if self._rebuild_indexes is not None and base_offset not in self._lying:
            self._lying.add(base_offset)
            self._rebuild_indexes(base_offset)

    def holding(self, offset: int) -> int | None:
        """The base offset of the segment that contains an offset; None if the offset is before the first segment."""
        bases = self.bases()
        return bases[bisect_right(bases, offset) - 1] if bases and offset >= bases[0] else None

    def bytes_from(self, base_offset: int) -> int:
        """The number of bytes of batches in this segment and all later ones."""
        active_base, position = self.active()
        sealed = [each for each in self.bases() if base_offset <= each < active_base]
        return position + sum(files.size_of(self.path_of(each)) for each in sealed)

    def active_base(self) -> int:
        """The base offset of the segment that takes appends."""
        return self.active()[0]

    def active(self) -> tuple[int, int]:
        """The base offset of the segment that takes appends, and the number of bytes of batches in it."""
        base, position = ffi.new("int64_t *"), ffi.new("int64_t *")
        lib.el_head_active_segment(self._mapped(), base, position)
        return int(base[0]), int(position[0])

    def after(self, base_offset: int) -> int | None:
        """The base offset of the next segment."""
        bases = self.bases()
        at = bisect_right(bases, base_offset)
        return bases[at] if at < len(bases) else None

    def path_of(self, base_offset: int) -> Path:
        """The .log file of a segment."""
        return names.segment_file(self._directory, base_offset)

    def is_current(self, segment: Any) -> bool:
        """Is the list of segments the same as when this native `el_segment` was opened?"""
        return bool(segment.list_version == self.version)

    def open(self, segment: Any, base_offset: int) -> bool:
        """Open a segment, as a native `el_segment`; False if it does not exist."""
        version = self.version  # read before the file is opened, because the file may be replaced at that moment
        if base_offset == segment.base_offset and version == segment.list_version:
            return True
        lib.el_segment_close(segment)
        try:
            self._open_file(segment, "fd", base_offset, names.LOG_SUFFIX)
        except FileNotFoundError:
            return False
        following = self.after(base_offset)
        segment.end_offset = _OFFSET_END if following is None else following
        segment.list_version = version
        segment.base_offset = base_offset
        return True

    def open_index(self, segment: Any) -> None:
        """Open the index of an open segment, unless it is already open. Raises `FileNotFoundError`."""
        if segment.index_fd < 0:
            self._open_file(segment, "index_fd", segment.base_offset, names.INDEX_SUFFIX)

    def _open_file(self, segment: Any, cell: str, base_offset: int, suffix: str) -> None:
        path = f"{self._prefix}/{names.segment_name(base_offset, suffix)}"
        open_existing_into(ffi.addressof(segment, cell), path, os.O_RDONLY, directory=self._dir_fd)

    def open_holding(self, segment: Any, offset: int) -> None:
        """Open the segment that holds the offset. Segments in the list may have been deleted or replaced meanwhile.

        Raises `OffsetOutOfRangeError` if the offset was deleted, and `CorruptLogError` if the segment is missing."""
        base = self.holding(offset)
        while base is None or not self.open(segment, base):
            self.check_not_deleted(offset)
            self.list_again()
            missing, base = base, self.holding(offset)
            if base is None:
                first = next(iter(self.bases()), None)
                reason = None if first is None else missing_beginning(first, offset)
                raise damaged(self._directory, 0, reason or f"the segment that holds offset {offset} is missing", offset)
            if base == missing and not files.is_there(self.path_of(base)):
                raise damaged(self.path_of(base), 0, "the segment is missing", offset)
