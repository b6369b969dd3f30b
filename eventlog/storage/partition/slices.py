"""Batches as they are in a segment's file, for code that sends or copies the bytes themselves."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, NamedTuple

from eventlog._native import ffi, lib
from eventlog.storage.partition.segment_list import SegmentList
from eventlog.storage.segments import files
from eventlog.storage.segments.damage import damaged, gap, wrong_batch

_OPEN_FILES_MAX = 4
_ENDS_MAX = 8  # as many readers go on without a search

_new = ffi.new_allocator(should_clear_after_alloc=False)


class SegmentFile:
    """An open .log file of a segment. It is closed once nothing refers to it, and can be read until then, even if the segment
    is deleted or replaced meanwhile."""

    def __init__(self) -> None:
        cells = {"base_offset": -1, "fd": -1, "index_fd": -1}
        self.native: Any = ffi.gc(ffi.new("el_segment *", cells), lib.el_segment_close)

    @property
    def descriptor(self) -> int:
        """The file's descriptor, valid as long as something refers to this object."""
        return int(self.native.fd)

    @property
    def base_offset(self) -> int:
        """The offset in the segment's name."""
        return int(self.native.base_offset)


class Slice(NamedTuple):
    """Whole consecutive batches in a file, ready for `os.sendfile`: its `descriptor`, and `position` and `length` in bytes.

    `first_offset` is the offset of the first batch, which may be lower than the requested one, and `next_offset` is where to
    continue. A slice without batches has the length 0, and perhaps no file. The bytes do not change, and the file stays open,
    as long as something refers to the slice: there is nothing to close."""

    file: SegmentFile | None
    position: int
    length: int
    first_offset: int
    next_offset: int

    @property
    def descriptor(self) -> int:
        """The descriptor of the open file; -1 if there are no batches."""
        return -1 if self.file is None else self.file.descriptor

    def read(self) -> bytes:
        """The batches. Raises `OSError`."""
        return b"" if self.file is None else files.read_at(self.file.descriptor, self.length, self.position)


class Slicer:
    """Finds slices of one partition, and keeps the segments it used last open. Safe for use by several threads."""

    def __init__(self, segments: SegmentList) -> None:
        self._segments = segments
        self._open: dict[int, SegmentFile] = {}
        self.uses = 0
        """How often batches were looked for."""
        self._ends: dict[int, tuple[SegmentFile, int]] = {}  # where the next batch will be, by its offset: slices ended there

    def find(self, offset: int, stop: int, bytes_max: int, *, at_least_one: bool) -> Slice:
        """The batches from the one that holds `offset`, or else the next one, on: as many as end before `stop`, are in one
        segment, and fit in `bytes_max`; with `at_least_one`, at least the first one.

        Raises `OffsetOutOfRangeError` if the offset was deleted just now, and `CorruptLogError` for damage in the headers."""
        found, wanted = ffi.new("el_slice *"), offset
        self.uses += 1
        while wanted < stop:
            file = self._file_of(wanted)
            gaps = self._segments.may_have_gaps
            status = lib.el_slice_find(file.native, wanted, stop, bytes_max, at_least_one, gaps, found)
            if found.index_lies:
                self._segments.index_lies(file.base_offset)
            if status == lib.EL_CODEC_OK:
                if found.length:
                    self._note_end(file, found)
                return Slice(file, found.position, found.length, found.first_offset, found.next_offset)
            following = self._following(file, status, found, stop)
            if following is None:
                continue  # the segment was replaced or deleted meanwhile
            wanted = max(wanted, following)
        return Slice(None, 0, 0, offset, max(offset, min(wanted, stop)))

    def read_at_once(self, offset: int, stop: int, bytes_max: int) -> bytes | None:
        """The batches from `offset`, at which an earlier slice ended, up to `stop`, if they are in memory and take at most
        `bytes_max` bytes; None otherwise. They were checked."""
        file, position = self._ends.get(offset, (None, 0))
        self.uses += 1
        if file is None or not self._segments.is_current(file.native):
            return None
        base, end = self._segments.active()
        length = end - position
        if base != file.base_offset or not 0 < length <= bytes_max:
            return None
        found, data = ffi.new("el_slice *"), _new("uint8_t[]", length)
        if not lib.el_slice_read_at_once(file.native, position, offset, stop, data, length, found):
            return None
        self._note_end(file, found)
        return bytes(ffi.buffer(data, found.length))

    def _note_end(self, file: SegmentFile, found: Any) -> None:
        self._ends.pop(found.next_offset, None)
        self._ends[found.next_offset] = file, found.position + found.length
        while len(self._ends) > _ENDS_MAX:
            self._ends.pop(next(iter(list(self._ends))), None)

    def _following(self, file: SegmentFile, status: int, found: Any, stop: int) -> int | None:
        """Where to continue after the end of a segment; None: retry at the same offset. Raises `CorruptLogError` for damage."""
        segments, path = self._segments, self._segments.path_of(file.base_offset)
        if not segments.is_current(file.native):
            self._open.pop(file.base_offset, None)
            return None
        if status != lib.EL_CODEC_INCOMPLETE:
            raise wrong_batch(path, found.position, status, found.next_offset)
        following = segments.after(file.base_offset)
        if following is not None and (following == found.next_offset or segments.may_have_gaps):
            return following
        segments.check_not_deleted(found.next_offset)
        if following is not None and following > found.next_offset:
            raise damaged(path, found.position, gap(found.next_offset, following), found.next_offset)
        reason = f"the segment ends at offset {found.next_offset}, before {following or stop}"
        raise damaged(path, found.position, reason, found.next_offset)

    def _file_of(self, offset: int) -> SegmentFile:
        version = self._segments.version
        for file in list(self._open.values()):
            if lib.el_segment_holds(file.native, offset, version):
                return file
        file = SegmentFile()
        self._segments.open_holding(file.native, offset)
        with suppress(FileNotFoundError):
            self._segments.open_index(file.native)
        self._open.pop(file.base_offset, None)
        self._open[file.base_offset] = file
        while len(self._open) > _OPEN_FILES_MAX:
            self._open.pop(next(iter(list(self._open))), None)
        return file

    def release_old(self) -> None:
        """Forget files of segments that were rolled, deleted or replaced."""
        for base, file in list(self._open.items()):
            if not self._segments.is_current(file.native):
                self._open.pop(base, None)
        for offset, (file, _) in list(self._ends.items()):
            if not self._segments.is_current(file.native):
                self._ends.pop(offset, None)

    def release_all(self) -> None:
        """Forget all files: each is closed once its last slice is gone."""
        self._open.clear()
        self._ends.clear()
