"""Recognising batches that Kafka wrote in a format that is not read here.

They are not damage, and never a torn tail. Source of the formats: Kafka's LegacyRecord (magic 0 and 1: offset, length, CRC32,
magic, attributes and the rest of a message); in all formats the offset comes first, then the length, and the magic is byte 16.
"""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path
from typing import NamedTuple

from eventlog.storage.segments import files, names

_MAGIC = 2
_MAGIC_AT = 16
_MAGIC_END = 16  # Kafka only got to 2 in its first thirteen years
_CRC_AT = 12
_MESSAGE_BYTES_MIN = {0: 14, 1: 22}  # after the length: checksum, magic, attributes, a time in 1, lengths of key and value
_OFFSETS_MAX = 2**31  # the most that one batch may contain
_BLOCK_BYTES = 2**20
_HEADER_BYTES = 61  # of a batch of magic 2
_HEAD = struct.Struct(">qi4xB")


class _Head(NamedTuple):
    """The fields that all formats have in common."""

    offset: int
    length: int
    magic: int


def foreign_format(path: Path, position: int, next_offset: int) -> str | None:
    """What is, in another format, at a position of a .log file where a batch with `next_offset` or a later one should begin;
    None if it cannot be one.

    A message of magic 0 or 1 is recognised by its checksum. Any other batch has the next offset and a magic that Kafka may
    introduce, or its length fits what follows it: mistaking it for a torn write would cut off what was written."""
    with open(path, "rb", buffering=0) as file:
        descriptor = file.fileno()
        head = _head_at(descriptor, position)
        if head is None or head.magic == _MAGIC:
            return None
        if head.magic in _MESSAGE_BYTES_MIN:
            if head.offset >= 0 and _has_crc(descriptor, position, head):
                return f"a message of Kafka's format v{head.magic} (magic {head.magic}), which is not read here"
            if not any(files.read_at(descriptor, _HEADER_BYTES - _MAGIC_AT, position + _MAGIC_AT)):
                return None  # the rest of the header was never written
        is_next = head.offset == next_offset and head.magic < _MAGIC_END
        if head.length > _MAGIC_AT - _CRC_AT and (is_next or _fits(descriptor, position, head, next_offset)):
            return f"a batch with magic {head.magic}, of a format that is not read here, or whose magic has changed"
    return None


def _head_at(descriptor: int, position: int) -> _Head | None:
    data = files.read_at(descriptor, _HEAD.size, position)
    return _Head(*_HEAD.unpack(data)) if len(data) == _HEAD.size else None


def _fits(descriptor: int, position: int, head: _Head, next_offset: int) -> bool:
    """Is its offset possible here, and does it end where the file ends, zeros begin, or another one of its kind begins?"""
    end, size = position + _CRC_AT + head.length, os.fstat(descriptor).st_size
    if not next_offset <= head.offset < next_offset + _OFFSETS_MAX or end > size:
        return False
    behind = files.read_at(descriptor, _HEADER_BYTES, end)
    following = _head_at(descriptor, end)
    return not any(behind) or (following is not None and following.magic == head.magic and following.offset > head.offset)


def _has_crc(descriptor: int, position: int, head: _Head) -> bool:
    """Is the checksum of a whole message of magic 0 or 1 right?"""
    wanted = int.from_bytes(files.read_at(descriptor, 4, position + _CRC_AT), "big")
    at, end = position + _MAGIC_AT, position + _CRC_AT + head.length
    crc = 0
    if head.length < _MESSAGE_BYTES_MIN[head.magic] or end > os.fstat(descriptor).st_size:
        return False
    while at < end:
        block = files.read_at(descriptor, min(_BLOCK_BYTES, end - at), at)
        crc = zlib.crc32(block, crc)
        at += len(block)
    return crc == wanted


def end_of_foreign(path: Path, position: int, next_offset: int) -> int:
    """The offset after the batches of another format from a position on, as far as heads show; `next_offset` if none."""
    if foreign_format(path, position, next_offset) is None:
        return next_offset
    with open(path, "rb", buffering=0) as file:
        while (head := _head_at(file.fileno(), position)) is not None and head.length > _MAGIC_AT - _CRC_AT:
            if not next_offset <= head.offset < min(next_offset + _OFFSETS_MAX, names.OFFSET_MAX):
                break
            next_offset = head.offset + 1
            position += _CRC_AT + head.length
    return next_offset
