"""Segments as a broker writes them: batches with producers, transactions and their markers, by the protocol guide alone.

Source: https://kafka.apache.org/documentation/#recordbatch; markers: KIP-98.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from pathlib import Path

from tests.support import made_batches, stores
from tests.support.made_batches import Made

TRANSACTIONAL, CONTROL = 0x10, 0x20
_MARKER_KEY, _MARKER_VALUE = struct.Struct(">hh"), struct.Struct(">hi")

Pair = tuple[bytes | None, bytes | None]


def batch(
    base_offset: int, pairs: Sequence[Pair], *, attributes: int = 0, producer_id: int = -1, timestamp: int = 1_600_000_000_000
) -> bytes:
    """A batch of keys and values, all with one timestamp."""
    records = [Made(value, key, timestamp=timestamp) for key, value in pairs]
    producer = {"producer_id": producer_id, "producer_epoch": 0 if producer_id >= 0 else -1}
    return made_batches.batch(records, base_offset=base_offset, leader_epoch=0, attributes=attributes, **producer)


def marker(base_offset: int, producer_id: int, *, is_commit: bool, timestamp: int = 1_600_000_000_000) -> bytes:
    """The control batch that ends a transaction."""
    pair = (_MARKER_KEY.pack(0, int(is_commit)), _MARKER_VALUE.pack(0, 0))
    attributes = TRANSACTIONAL | CONTROL
    return batch(base_offset, [pair], attributes=attributes, producer_id=producer_id, timestamp=timestamp)


def sent(base_offset: int, producer_id: int, *pairs: Pair) -> bytes:
    """A batch that belongs to a transaction."""
    return batch(base_offset, pairs, attributes=TRANSACTIONAL, producer_id=producer_id)


def put(store: Path, segments: dict[int, Iterable[bytes]], topic: str = stores.TOPIC) -> Path:
    """Put segments, by their base offsets, where a topic's first partition stands; nobody has opened it yet."""
    directory = stores.partition_directory(store, 0, topic)
    directory.mkdir(parents=True)
    for base_offset, batches in segments.items():
        (directory / f"{base_offset:020d}.log").write_bytes(b"".join(batches))
    return directory
