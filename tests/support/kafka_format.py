"""A second, slow reader of Kafka's files, written from the protocol guide and sharing no code with the library.

Source: https://kafka.apache.org/documentation/#recordbatch. Uncompressed batches only.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import NamedTuple

_HEADER = struct.Struct(">qiibIhiqqqhii")
HEADER_BYTES = _HEADER.size
_LENGTH_END = 12


def _crc32c_table() -> list[int]:
    table = []
    for byte in range(256):
        remainder = byte
        for _ in range(8):
            remainder = (remainder >> 1) ^ (0x82F63B78 if remainder & 1 else 0)
        table.append(remainder)
    return table


_TABLE = _crc32c_table()


def crc32c(data: bytes) -> int:
    """CRC32C (Castagnoli), a byte at a time."""
    value = 0xFFFFFFFF
    for byte in data:
        value = _TABLE[(value ^ byte) & 0xFF] ^ (value >> 8)
    return value ^ 0xFFFFFFFF


class ParsedRecord(NamedTuple):
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]


class ParsedBatch(NamedTuple):
    position: int
    size_bytes: int
    base_offset: int
    last_offset: int
    leader_epoch: int
    attributes: int
    max_timestamp: int
    records: list[ParsedRecord]
    producer_id: int = -1


class _Cursor:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def varint(self) -> int:
        shift = value = 0
        while True:
            byte = self.data[self.at]
            self.at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return (value >> 1) ^ -(value & 1)
            shift += 7

    def take(self, length: int) -> bytes:
        assert 0 <= length <= len(self.data) - self.at, "a length points outside the batch"
        self.at += length
        return self.data[self.at - length : self.at]

    def nullable(self) -> bytes | None:
        length = self.varint()
        return None if length == -1 else self.take(length)


def _parse_record(cursor: _Cursor, base_offset: int, base_timestamp: int) -> ParsedRecord:
    length = cursor.varint()
    start = cursor.at
    assert cursor.take(1) == b"\0", "record attributes are unused"
    timestamp = base_timestamp + cursor.varint()
    offset = base_offset + cursor.varint()
    key, value = cursor.nullable(), cursor.nullable()
    headers = []
    for _ in range(cursor.varint()):
        name = cursor.take(cursor.varint()).decode()
        headers.append((name, cursor.nullable()))
    assert cursor.at - start == length, "a record's length disagrees with its fields"
    return ParsedRecord(offset, timestamp, key, value, tuple(headers))


def parse_batch(data: bytes, position: int) -> ParsedBatch:
    """The batch at `position`; AssertionError or struct.error when there is none."""
    fields = _HEADER.unpack_from(data, position)
    base_offset, batch_length, leader_epoch, magic, crc, attributes, last_delta, base_timestamp, max_timestamp = fields[:9]
    count = fields[12]
    size = batch_length + _LENGTH_END
    assert magic == 2 and size >= HEADER_BYTES, f"no batch at byte {position}"
    assert position + size <= len(data), f"the batch at byte {position} is cut off"
    body = data[position : position + size]
    assert crc32c(body[21:]) == crc, f"wrong checksum at byte {position}"
    cursor = _Cursor(body[HEADER_BYTES:])
    records = [_parse_record(cursor, base_offset, base_timestamp) for _ in range(count)]
    assert cursor.at == len(cursor.data), f"bytes left over in the batch at byte {position}"
    if attributes & 0x08:
        records = [record._replace(timestamp=max_timestamp) for record in records]
    return ParsedBatch(
        position, size, base_offset, base_offset + last_delta, leader_epoch, attributes, max_timestamp, records, fields[9]
    )


def parse_log(path: Path) -> list[ParsedBatch]:
    """Every batch of a segment; nothing else, not even zeros, may stand in the file."""
    return parse_batches(path.read_bytes())


def parse_batches(data: bytes) -> list[ParsedBatch]:
    """Every batch of a segment's content, or of a part of it that begins and ends with a batch."""
    batches: list[ParsedBatch] = []
    position = 0
    while position < len(data):
        batches.append(parse_batch(data, position))
        position += batches[-1].size_bytes
    return batches


def parse_index(data: bytes) -> list[tuple[int, int]]:
    """(relative offset, position) of every entry of an .index file's content."""
    return list(struct.iter_unpack(">ii", data))


def parse_time_index(data: bytes) -> list[tuple[int, int]]:
    """(timestamp, relative offset) of every entry of a .timeindex file's content."""
    return list(struct.iter_unpack(">qi", data))
