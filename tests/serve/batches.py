"""Record batches as a producer would make them, from a description that shares no code with the library.

Source: https://kafka.apache.org/documentation/#recordbatch.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

from tests.support import made_batches
from tests.support.made_batches import Made

TIMESTAMP = 1_700_000_000_000


def _gzip(section: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=31)
    return compressor.compress(section) + compressor.flush()


def batch(
    values: Sequence[bytes | None],
    *,
    key: bytes | None = None,
    producer: tuple[int, int, int] = (-1, -1, -1),
    attributes: int = 0,
    timestamp: int = TIMESTAMP,
) -> bytes:
    """A batch of records; `producer` is its id, its epoch and the sequence number of the first record."""
    records = [Made(value, key, timestamp=timestamp) for value in values]
    producer_id, epoch, sequence = producer
    return made_batches.batch(
        records,
        compress=_gzip if attributes & 7 == 1 else bytes,
        attributes=attributes,
        base_timestamp=timestamp,
        max_timestamp=timestamp,
        producer_id=producer_id,
        producer_epoch=epoch,
        base_sequence=sequence,
    )


def with_wrong_checksum(data: bytes) -> bytes:
    """The batch with one bit of its last byte changed."""
    return data[:-1] + bytes([data[-1] ^ 1])
