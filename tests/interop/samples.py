"""Records of every shape, the same for all tests here, and a store that holds them in several segments."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import eventlog
from tests.support.stores import TOPIC, create, open_partition

CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]


class Sample(NamedTuple):
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]


def samples() -> list[Sample]:
    """Null, empty, small, large; headers with null, empty and repeated names; timestamps out of order."""
    start_ms = 1_700_000_000_000
    shapes = [
        (b"key", b"value", ()),
        (None, b"value", ()),
        (b"key", None, ()),
        (None, None, ()),
        (b"", b"", ()),
        (b"k" * 130, b"v" * 20_000, ()),
        (b"\x00\xff", bytes(range(256)), (("name", b"value"), ("name", b"again"), ("null", None), ("empty", b""))),
        ("schlüssel".encode(), "värde".encode(), (("größe", b"1"),)),
    ]
    return [
        Sample(start_ms + 1000 * number - 7777 * (number % 3), *shapes[number % len(shapes)]) for number in range(400)
    ]


def write(store: Path, *, log_append_time: bool = False, codec: str = "none") -> list[eventlog.Record]:
    """Write the samples, a quarter of them one by one, the rest in batches, and close the store. Return what it holds."""
    create(
        store,
        segment_bytes=150_000 if codec == "none" else 7_000,
        index_interval_bytes=2_000 if codec == "none" else 100,
        message_timestamp_type="LogAppendTime" if log_append_time else "CreateTime",
        compression_type="uncompressed" if codec == "none" else codec,
    )
    todo = samples()
    with eventlog.open(store) as log:
        partition = open_partition(log)
        for sample in todo[:100]:
            partition.append(sample.value, key=sample.key, headers=sample.headers, timestamp=sample.timestamp)
        for start in range(100, len(todo), 30):
            batch = todo[start : start + 30]
            partition.append_many(
                [sample.value for sample in batch],
                keys=[sample.key for sample in batch],
                headers=[sample.headers for sample in batch],
                timestamps=[sample.timestamp for sample in batch],
            )
        records = list(partition.records())
    assert [(record.key, record.value, record.headers) for record in records] == [sample[1:] for sample in todo]
    assert records[0].topic == TOPIC
    return records
