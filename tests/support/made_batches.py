"""Batches as any client may make them, right ones and wrong ones, by the protocol guide alone.

Source: https://kafka.apache.org/documentation/#recordbatch.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from tests.support.kafka_format import crc32c

TIME_MS = 1_600_000_000_000
HEADER_BYTES = 61
_REST = struct.Struct(">hiqqqhii")


class Made(NamedTuple):
    """A record to be; `offset_delta` None: its number."""

    value: bytes | None
    key: bytes | None = b"key"
    headers: Sequence[tuple[bytes, bytes | None]] = ()
    timestamp: int = TIME_MS
    offset_delta: int | None = None


def varint(number: int) -> bytes:
    bits, out = (number << 1) ^ (number >> 63), bytearray()
    while bits >= 0x80:
        out.append(bits & 0x7F | 0x80)
        bits >>= 7
    return bytes([*out, bits])


def _field(data: bytes | None) -> bytes:
    return varint(-1) if data is None else varint(len(data)) + data


def _record(made: Made, number: int, base_timestamp: int) -> bytes:
    delta = number if made.offset_delta is None else made.offset_delta
    body = b"\0" + varint(made.timestamp - base_timestamp) + varint(delta) + _field(made.key) + _field(made.value)
    body += varint(len(made.headers)) + b"".join(_field(name) + _field(value) for name, value in made.headers)
    return varint(len(body)) + body


def batch(
    records: Sequence[Made],
    *,
    compress: Callable[[bytes], bytes] = bytes,
    extra: bytes = b"",
    base_offset: int = 0,
    leader_epoch: int = -1,
    **fields: Any,
) -> bytes:
    """A batch with a right checksum; `fields` by their names in the guide take the place of what the header would have."""
    base_timestamp = records[0].timestamp if records else TIME_MS
    section = b"".join(_record(made, number, base_timestamp) for number, made in enumerate(records)) + extra
    header = {
        "attributes": 0,
        "last_offset_delta": len(records) - 1,
        "base_timestamp": base_timestamp,
        "max_timestamp": max((made.timestamp for made in records), default=TIME_MS),
        "producer_id": -1,
        "producer_epoch": -1,
        "base_sequence": -1,
        "record_count": len(records),
    }
    magic = fields.pop("magic", 2)
    assert fields.keys() <= header.keys(), fields
    rest = _REST.pack(*(header | fields).values()) + compress(section)
    return struct.pack(">qiibI", base_offset, len(rest) + 9, leader_epoch, magic, crc32c(rest)) + rest


def values(*items: bytes | None) -> list[Made]:
    """Records with these values."""
    return [Made(value) for value in items]
