"""Values that say who wrote them, and that nobody can mistake for one another.

    i64 writer | i64 sequence number of the record | i64 group | i32 place in the group | i32 size of the group |
    i32 bytes of filler | filler

The filler is determined by the numbers before it, so that a reader can check every bit.
"""

from __future__ import annotations

import random
import struct

_FIELDS = struct.Struct(">qqqiii")
_FILLER_BYTES_MAX = 200_000
_FILLER = random.Random(20260101).randbytes(2 * _FILLER_BYTES_MAX)
_FILLER_BYTES_USUAL = 300


def value(writer: int, sequence: int, group: int, place: int, size: int, filler_bytes: int | None = None) -> bytes:
    """The value of one record; by default a small one, of a length that varies."""
    start = (writer * 7919 + sequence * 104729) % _FILLER_BYTES_MAX
    length = start % _FILLER_BYTES_USUAL if filler_bytes is None else filler_bytes
    return _FIELDS.pack(writer, sequence, group, place, size, length) + _FILLER[start : start + length]


def writer_of(data: bytes | None) -> tuple[int, int]:
    """The writer of a value, and the sequence number that it gave it."""
    assert data is not None
    writer, sequence = _FIELDS.unpack_from(data)[:2]
    return writer, sequence


def fields_of(data: bytes) -> tuple[int, int, int, int, int]:
    """Writer, sequence number, group, place in the group and size of the group of a value."""
    writer, sequence, group, place, size, _ = _FIELDS.unpack_from(data)
    return writer, sequence, group, place, size


def group_values(writer: int, first_sequence: int, group: int, size: int) -> list[bytes]:
    """The values of a group of records that are appended as one unit."""
    return [value(writer, first_sequence + place, group, place, size) for place in range(size)]


class Checker:
    """Reads a log in order and raises AssertionError at the first record that should not be there.

    It remembers each writer's last record: sequence numbers rise by one, groups are whole. Where the log begins behind
    offset 0, a writer's first records may be gone."""

    def __init__(self, first_offset: int = 0) -> None:
        self.next_offset = first_offset
        self._may_begin_anywhere = first_offset > 0
        self._last: dict[int, int] = {}
        self._open_group: tuple[int, int, int, int] | None = None

    def check(self, offset: int, data: bytes | None) -> None:
        assert offset == self.next_offset, f"offset {offset} follows {self.next_offset - 1}"
        self.next_offset += 1
        assert data is not None, f"the value at {offset} is null"
        writer, sequence, group, place, size, length = _FIELDS.unpack_from(data)
        assert data == value(writer, sequence, group, place, size, length), f"wrong bytes at offset {offset}"
        former = self._last.get(writer, sequence - 1 if self._may_begin_anywhere else -1)
        assert sequence == former + 1, f"writer {writer}: record {sequence} at offset {offset} follows {former}"
        self._last[writer] = sequence
        expected = self._open_group or (writer, group, 0, size)
        assert (writer, group, place, size) == expected, f"half a group before offset {offset}: {expected}"
        self._open_group = (writer, group, place + 1, size) if place + 1 < size else None

    def check_between_groups(self) -> None:
        """What was visible ends with a whole group."""
        assert self._open_group is None, f"half a group was visible at offset {self.next_offset}: {self._open_group}"
