"""Reading the batch headers of a segment, without its records; and the index entries that belong to them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from eventlog._native import ffi, lib
from eventlog.storage.segments import files, index
from eventlog.storage.segments.batches import read_header, walk
from eventlog.storage.segments.damage import damaged, wrong_batch

_NO_INDEX = 2**62


def new_tail(base_offset: int) -> Any:
    """The native `el_tail` of a segment without batches."""
    tail = ffi.new("el_tail *")
    tail.end_offset = tail.segment_base = base_offset
    tail.max_timestamp = tail.max_timestamp_offset = tail.indexed_timestamp = tail.first_timestamp = -1
    tail.first_unstable = tail.producers_offset = tail.marker_end = -1
    return tail


class IndexBuilder:
    """Creates the index entries of a segment from its batches, exactly as appends would have created them."""

    def __init__(self, tail: Any, interval_bytes: int) -> None:
        self.tail = tail
        self.entries = bytearray()
        self.time_entries = bytearray()
        self._interval_bytes = interval_bytes

    def add(self, block: Any, length: int, batch_count: int) -> None:
        """Add the entries of whole batches; the native `block` has at most `batch_count` of them."""
        entries = ffi.new("uint8_t[]", (batch_count + 1) * index.ENTRY.size)
        time_entries = ffi.new("uint8_t[]", (batch_count + 1) * index.TIME_ENTRY.size)
        before = self.tail.index_bytes, self.tail.time_index_bytes
        lib.el_index_rebuild(block, length, self._interval_bytes, self.tail, entries, time_entries)
        self.entries += ffi.buffer(entries, self.tail.index_bytes - before[0])
        self.time_entries += ffi.buffer(time_entries, self.tail.time_index_bytes - before[1])

    def seal(self) -> None:
        """Add the last entry of the time index, which every sealed segment has."""
        tail = self.tail
        if tail.max_timestamp > tail.indexed_timestamp:
            relative = tail.max_timestamp_offset - tail.segment_base
            self.time_entries += index.TIME_ENTRY.pack(tail.max_timestamp, relative)
            tail.indexed_timestamp = tail.max_timestamp


def first_timestamp(path: Path) -> int:
    """The timestamp of the first batch of a segment: the largest in the batch, as in Kafka; negative: it has none.

    Raises `CorruptLogError`."""
    with open(path, "rb") as file:
        batch, status = read_header(file.fileno(), 0)
    if batch is None:
        raise wrong_batch(path, 0, status, int(path.stem))
    return batch.max_timestamp


class Rest(NamedTuple):
    """The batches of a sealed segment from one on: their largest timestamp, and the offset after them (-1, 0: no batches)."""

    largest_timestamp: int
    end_offset: int


def behind(path: Path, position: int) -> Rest:
    """The batches in a sealed segment from the one at `position` on. Raises `CorruptLogError`."""
    tail = _pass_batches(path, position, files.size_of(path))
    return Rest(tail.max_timestamp, tail.end_offset)


def largest_timestamp(path: Path) -> int:
    """The largest timestamp of the batches in a sealed segment; -1 if it has none. Raises `CorruptLogError`."""
    return behind(path, 0).largest_timestamp


def offset_behind(path: Path, position: int, stop: int) -> int:
    """The offset after the batches between two positions. Raises `CorruptLogError` if no batch ends at the second one."""
    return int(_pass_batches(path, position, stop).end_offset)


def _pass_batches(path: Path, position: int, stop: int) -> Any:
    """The native `el_tail` after the batches between two positions."""
    tail = new_tail(0)
    tail.position = position
    note_timestamps(path, tail, stop)
    return tail


def note_timestamps(path: Path, tail: Any, stop: int) -> None:
    """Advance a tail over the batches of a segment up to `stop`, where a batch must end, without an index.

    Raises `CorruptLogError`."""
    for block in walk(path, tail.position, stop, tail.end_offset):
        lib.el_index_rebuild(block.native, block.length, _NO_INDEX, tail, ffi.NULL, ffi.NULL)
        block.consumed, block.next_offset = tail.position - block.position, tail.end_offset


def check_end(path: Path, end_offset: int, following: int) -> None:
    """Raise `CorruptLogError` if a segment overlaps the following one: no checksum covers the base offset of a batch."""
    if end_offset > following:
        reason = f"it ends at offset {end_offset}, but the next segment begins at {following}"
        raise damaged(path, 0, reason)
