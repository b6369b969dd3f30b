"""Unsigned varints and tagged fields, which flexible versions of messages use (KIP-482)."""

from __future__ import annotations

_VARINT_BITS_MAX = 35


def read_varint(data: memoryview, position: int) -> tuple[int, int]:
    """An unsigned varint of up to 32 bits, and the position of its end."""
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            break
        shift += 7
        if shift >= _VARINT_BITS_MAX:
            raise ValueError("a varint is longer than five bytes")
    if value >= 2**32:
        raise ValueError("a varint has more than 32 bits")
    return value, position


def varint(value: int) -> bytes:
    """An unsigned varint."""
    if value < 0x80:
        return _SHORT_VARINTS[value]
    pieces = bytearray()
    while value >= 0x80:
        pieces.append(value & 0x7F | 0x80)
        value >>= 7
    pieces.append(value)
    return bytes(pieces)


_SHORT_VARINTS = [bytes([value]) for value in range(0x80)]


def skip_tags(data: memoryview, position: int) -> int:
    """The position of the end of the tagged fields that begin here, none of which is known."""
    count, position = read_varint(data, position)
    for _ in range(count):
        _, position = read_varint(data, position)
        size, position = read_varint(data, position)
        position += size
        if position > len(data):
            raise ValueError("a tagged field ends behind the message")
    return position
