"""Record batches as a producer would make them, from a description that shares no code with the library.

Source: https://kafka.apache.org/documentation/#recordbatch.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence

from tests.support.kafka_format import crc32c

TIMESTAMP = 1_700_000_000_000


def _varint(value: int) -> bytes:
    number = value << 1 if value >= 0 else (-value << 1) - 1
    encoded = bytearray()
    while number >= 0x80:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*encoded, number])


def _nullable(value: bytes | None) -> bytes:
    return _varint(-1) if value is None else _varint(len(value)) + value


def _record(number: int, value: bytes | None, key: bytes | None) -> bytes:
    body = b"\0" + _varint(0) + _varint(number) + _nullable(key) + _nullable(value) + _varint(0)
    return _varint(len(body)) + body


def batch(
    values: Sequence[bytes | None],
    *,
    key: bytes | None = None,
    producer: tuple[int, int, int] = (-1, -1, -1),
    attributes: int = 0,
    timestamp: int = TIMESTAMP,
) -> bytes:
    """A batch of records; `producer` is its id, its epoch and the sequence number of the first record."""
    section = b"".join(_record(number, value, key) for number, value in enumerate(values))
    if attributes & 7 == 1:
        compressor = zlib.compressobj(wbits=31)
        section = compressor.compress(section) + compressor.flush()
    checked = struct.pack(">hiqqqhii", attributes, len(values) - 1, timestamp, timestamp, *producer, len(values)) + section
    return struct.pack(">qiibI", 0, len(checked) + 9, -1, 2, crc32c(checked)) + checked


def with_wrong_checksum(data: bytes) -> bytes:
    """The batch with one bit of its last byte changed."""
    return data[:-1] + bytes([data[-1] ^ 1])
