"""The aborted transactions of a segment: its .txnindex, which has an entry for each marker in the segment that aborts one.

Source of the format: Kafka's AbortedTxn (version 0): i16 version, i64 producer id, i64 first offset, i64 last offset (the
marker's), i64 last stable offset; big-endian.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from eventlog._native import ffi
from eventlog.storage.segments import files, names
from eventlog.storage.segments.producer_table import Aborted

VERSION = 0
ENTRY = struct.Struct(">hqqqq")


def read_entries(path: Path) -> list[tuple[int, Aborted]]:
    """All entries of an index with their versions; [] if there is no such file. A torn entry at the end is left out."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return []
    whole = data[: len(data) - len(data) % ENTRY.size]
    return [(version, Aborted(*fields)) for version, *fields in ENTRY.iter_unpack(whole)]


def read_aborted(directory: Path, base_offset: int, end_offset: int) -> list[Aborted]:
    """The transactions that were aborted in a segment before `end_offset`, in the order of their markers."""
    entries = read_entries(names.segment_file(directory, base_offset, names.ABORTED_INDEX_SUFFIX))
    # Behind the last entry there may be one whose marker was never published, and zeros that a power cut has left.
    return [entry for version, entry in entries if version == VERSION and base_offset <= entry.last_offset < end_offset]


def write_aborted(directory: Path, base_offset: int, aborted: Iterable[Aborted]) -> int:
    """Make the index of a segment contain exactly these; returns its size in bytes."""
    path = names.segment_file(directory, base_offset, names.ABORTED_INDEX_SUFFIX)
    data = b"".join(ENTRY.pack(VERSION, *each) for each in aborted)
    try:
        is_right = path.read_bytes() == data
    except FileNotFoundError:
        is_right = not data
    if not is_right:
        files.replace_file(path, [data])
    return len(data)


class AbortedList:
    """Aborted transactions, each with its producer and its first and last offset, for native code: `native` is the
    `el_aborted_list`."""

    def __init__(self, aborted: Sequence[tuple[int, int, int]]) -> None:
        self._entries = ffi.new("el_aborted[]", sorted(aborted, key=lambda each: (each[0], each[2])))
        self.native: Any = ffi.new("el_aborted_list *", (self._entries, len(aborted)))
