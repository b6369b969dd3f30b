"""The sparse indexes of a segment: reading, searching and checking them. They are hints; the .log file is authoritative."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import NamedTuple

from eventlog._native import ffi, lib
from eventlog.access import new_file, open_existing_into
from eventlog.storage.segments import files

ENTRY = struct.Struct(">ii")
TIME_ENTRY = struct.Struct(">qi")

OFFSETS_MAX = 2**31 - 1  # the most a segment may span: an entry's offset is relative, and has 31 bits


class IndexEntry(NamedTuple):
    """The last offset of a batch, and the batch's position in the .log file."""

    offset: int
    position: int


class TimeIndexEntry(NamedTuple):
    """The largest timestamp so far, and the last offset of the batch that holds it."""

    timestamp: int
    offset: int


def read_index(path: Path, base_offset: int) -> list[IndexEntry]:
    """All entries of an .index file; [] if it does not exist. A torn entry at the end is left out."""
    data = _read(path, ENTRY.size)
    return [IndexEntry(base_offset + relative, position) for relative, position in ENTRY.iter_unpack(data)]


def read_time_index(path: Path, base_offset: int) -> list[TimeIndexEntry]:
    """All entries of a .timeindex file; [] if it does not exist."""
    data = _read(path, TIME_ENTRY.size)
    return [TimeIndexEntry(timestamp, base_offset + relative) for timestamp, relative in TIME_ENTRY.iter_unpack(data)]


def _read(path: Path, entry_bytes: int) -> bytes:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return b""
    return data[: len(data) - len(data) % entry_bytes]


def sound_entries(entries: list[IndexEntry], position_max: int) -> list[IndexEntry]:
    """The entries before the first that does not increase, or points after `position_max`."""
    previous = IndexEntry(-1, 0)
    for count, entry in enumerate(entries):
        if entry.offset <= previous.offset or not previous.position < entry.position <= position_max:
            return entries[:count]
        previous = entry
    return entries


def sound_time_entries(entries: list[TimeIndexEntry], offset_max: int) -> list[TimeIndexEntry]:
    """The entries before the first that does not increase, or is after `offset_max`."""
    previous = TimeIndexEntry(-1, -1)
    for count, entry in enumerate(entries):
        if entry.timestamp <= previous.timestamp or not previous.offset < entry.offset <= offset_max:
            return entries[:count]
        previous = entry
    return entries


def _floor(path: Path, entry: struct.Struct, key_bytes: int, key: int) -> tuple[int, ...] | None:
    """The last entry whose first number is at most `key`, in a file with increasing entries."""
    file, found = new_file(), ffi.new("uint8_t[]", entry.size)
    try:
        open_existing_into(file, path, os.O_RDONLY)
        is_there = lib.el_index_floor(file[0], entry.size, key_bytes, key, 0, found)
    except FileNotFoundError:
        return None
    finally:
        lib.el_file_close(file)
    return entry.unpack(ffi.buffer(found)) if is_there else None


def floor_entry(path: Path, base_offset: int, offset: int) -> IndexEntry | None:
    """The last entry whose batch ends at or before `offset`."""
    found = _floor(path, ENTRY, 4, offset - base_offset)
    return IndexEntry(base_offset + found[0], found[1]) if found else None


def floor_time_entry(path: Path, base_offset: int, timestamp: int) -> TimeIndexEntry | None:
    """The last entry with a timestamp below `timestamp`: everything up to its offset is older."""
    found = _floor(path, TIME_ENTRY, 8, timestamp - 1)
    return TimeIndexEntry(found[0], base_offset + found[1]) if found else None


def last_time_entry(path: Path, base_offset: int) -> TimeIndexEntry | None:
    """The last entry of a sealed segment's time index: its largest timestamp."""
    file = new_file()
    try:
        open_existing_into(file, path, os.O_RDONLY)
        count = os.fstat(file[0]).st_size // TIME_ENTRY.size
        data = files.read_at(file[0], TIME_ENTRY.size, (count - 1) * TIME_ENTRY.size) if count else b""
    except FileNotFoundError:
        return None
    finally:
        lib.el_file_close(file)
    if len(data) < TIME_ENTRY.size:
        return None
    timestamp, relative = TIME_ENTRY.unpack(data)
    return TimeIndexEntry(timestamp, base_offset + relative)
