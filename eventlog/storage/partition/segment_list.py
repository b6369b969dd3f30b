"""The segments of an open partition, as readers find them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from eventlog._native import ffi, lib
from eventlog.errors import (
    StoreClosedError,
    TopicNotFoundError,
)
from eventlog.storage.mapped.poison import DELETED
from eventlog.storage.segments import files, names
from eventlog.storage.segments.damage import damaged


class _Head(Protocol):
    """What a reader asks of a partition's head. `pointer` is the native `el_head`."""

    pointer: Any

    @property
    def may_have_gaps(self) -> bool: ...

    @property
    def poison(self) -> int: ...


class SegmentList:
    """The base offsets of a partition's segments, listed again when one was added or deleted.

    Offsets follow one another without a gap unless the head says that there may be gaps. `rebuild_indexes` gets the base offset
    of a segment with an index that was found to lie."""

    def __init__(self, directory: Path, head: _Head, rebuild_indexes: Callable[[int], None] | None = None) -> None:
        self._directory = directory
        self._head = head
        self._rebuild_indexes = rebuild_indexes
        self._lying: set[int] = set()
        # With the version that they were listed in, as one: several threads list.
        self._listed: tuple[int, list[int]] = (-1, [])

    @property
    def may_have_gaps(self) -> bool:
        """Has compaction or repair taken records out of the middle, or may it do so?"""
        return self._head.may_have_gaps

    def check_topic(self) -> None:
        """Raise `TopicNotFoundError` if the topic was deleted."""
        if self._head.poison == DELETED:
            raise TopicNotFoundError(f"the topic of {self._directory.name} was deleted")

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
        """Somebody is about to delete or replace segments, or has just done so: what was listed may not hold any more."""
        self._listed = (-1, [])

    def index_lies(self, base_offset: int) -> None:
        """An entry of an index names no batch: have the indexes of the segment made anew, once."""
        if self._rebuild_indexes is not None and base_offset not in self._lying:
            self._lying.add(base_offset)
            self._rebuild_indexes(base_offset)

    def holding(self, offset: int) -> int | None:
        """The base offset of the segment that an offset falls into; None if it would have to stand before the first."""
        bases = self.bases()
        return bases[bisect_right(bases, offset) - 1] if bases and offset >= bases[0] else None

    def bytes_from(self, base_offset: int) -> int:
        """How many bytes of batches stand in this segment and in those behind it."""
        base, position = ffi.new("int64_t *"), ffi.new("int64_t *")
        lib.el_head_active_segment(self._head.pointer, base, position)
        sealed = [each for each in self.bases() if base_offset <= each < base[0]]
        return int(position[0]) + sum(files.size_of(names.segment_file(self._directory, each)) for each in sealed)

    def after(self, base_offset: int) -> int | None:
        """The base offset of the next segment."""
        bases = self.bases()
        at = bisect_right(bases, base_offset)
        return bases[at] if at < len(bases) else None
