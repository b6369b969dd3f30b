"""What fuzzing begins with: the files of a real store. So each change is a step away from what is right."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import eventlog
from tests.support import stores

_KEYS = [b"a", b"b", None, b"", b"a", b"b" * 40]
_VALUES = [b"one", None, b"", b"two" * 30, None, b"Three"]
_HEADERS: list[list[tuple[str, bytes | None]] | None] = [
    None, [("name", b"value")], [("", None), ("größe", b"")], None, [], [("n", b"v")] * 3,
]  # fmt: skip

# What stands before the batches in the input of a target: its choices, as few as its parts that they lead to.
_PREFIXES: dict[str, tuple[bytes, ...]] = {
    "varint": (b"\0", b"\1"),
    "hashes": (b"\7",),
    "records": (b"\6\0\5", b"\1\1\0"),
    "batches": (b"\3\0", b"\3\1"),
    "search": (b"\0\2", b"\1\3"),
    "index": (b"\0\0\0", b"\x20\x07\0"),
    "compact": (b"\xff\0", b"\0\0"),
    "reader": (b"\3\x08\0\x10a\0\1", b"\x0b\x40\2\0t\0\2", b"\x0f\xff\1\3v\1\3"),
    "produced": (b"\0", b"\x40", b"\x44", b"\x48"),
    "slice": (b"\0\0\xff\xff\0", b"\x05\3\xff\x10\0", b"\x0f\1\x10\0\1" + b"\0\0\0\3\0\0\0\x40"),
}
_MANIFEST = {
    "format": "eventlog-backup", "version": 1, "complete": True, "created_ms": 0, "source": "/srv/shop",
    "catalog": {"path": "meta/data.mdb", "size_bytes": 1, "crc32c": 1},
    "partitions": [{"topic": "events", "partition": 0, "start_offset": 0, "end_offset": 3, "may_have_gaps": False,
                    "files": [{"path": "logs/events-0/00000000000000000000.log", "size_bytes": 234, "crc32c": 2}]}],
}  # fmt: skip
_STOMP = (
    b"MESSAGE\nmessage-id:1\nack:1\ntimestamp:5\nexpires:9\ndestination:/queue/q\neventlog.key:k\nx\\cy:\\n\n\n"
    b"text\0\n\r\nMESSAGE\r\ncontent-length:3\r\neventlog:i\r\neventlog.headers:[[\"a\",null],[\"b\",[\"eA==\"]]]\r\n\r\na\0b\0"
)
_AMQP_TABLE = (
    b"\1aS\0\0\0\1v\1bF\0\0\0\4\1ct\1\1dA\0\0\0\6I\0\0\0\7V\1eD\2\0\0\0\7\1fd?\xf8\0\0\0\0\0\0"
    b"\x0ftimestamp_in_msl\0\0\0\0\0\0\0\1"
)
_AMQP_PROPERTIES = (
    b"\xb9\xe0\4text" + len(_AMQP_TABLE).to_bytes(4, "big") + _AMQP_TABLE + b"\2\5\x0260\2id\0\0\0\0\0\0\0\1\1t"
)
_STARTS_WITH_RECORDS = ("varint", "records", "search")
_HEADER_BYTES = 61


def fill(store: Path) -> None:
    """A store with a topic of each way to write batches, of a few batches each."""
    with eventlog.open(store) as log:
        for name, settings in _topics().items():
            log.create_topic(name, 1, settings)
            partition = log.partition(name, 0)
            for start in range(0, 12, 4):
                part = slice(start % 6, start % 6 + 4)
                values = _VALUES[part]
                timestamps = [1_000 + start, 999, 70_000, 5][: len(values)]
                partition.append_many(values, keys=_KEYS[part], headers=_HEADERS[part], timestamps=timestamps)


def _topics() -> dict[str, dict[str, str | int]]:
    codecs = ("gzip", "snappy", "lz4", "zstd")
    topics: dict[str, dict[str, str | int]] = {codec: {"compression.type": codec} for codec in codecs}
    topics["plain"] = {"index.interval.bytes": 64}
    topics["appended"] = {"message.timestamp.type": "LogAppendTime"}
    return topics


def runs_of_batches(store: Path) -> Iterator[bytes]:
    """The segments of the store, each a run of right batches."""
    for topic in sorted(_topics()):
        for segment in stores.segments(store, topic=topic):
            yield segment.read_bytes()


def write_seeds(store: Path, target: str, directory: Path) -> None:
    """The first inputs of a target."""
    directory.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(_inputs(store, target)):
        (directory / f"seed-{number}").write_bytes(data)


def _inputs(store: Path, target: str) -> Iterator[bytes]:
    if target == "words":
        yield from (b"{time:%H:%M} {key:>10.3} {value.a.0} {headers.name}\\n", b"2026-11-01T10:00:30.5+01:00", b"2 hours ago")
    elif target == "imported_files":
        yield b"o" + b'{"group": "billing", "topic": "events", "partition": 0, "offset": 0}\n'
        yield b"m" + json.dumps(_MANIFEST).encode()
    elif target == "compressed_sections":
        for number, codec in enumerate(("gzip", "snappy", "lz4", "zstd"), 1):
            segment = stores.segments(store, topic=codec)[0].read_bytes()
            yield bytes([number]) + segment[_HEADER_BYTES : int.from_bytes(segment[8:12], "big") + 12]
    elif target == "stomp_frames":
        yield from (size + _STOMP for size in (b"\x05", b"\xff"))
    elif target == "amqp_messages":
        # The last byte chooses: whole properties, or a table of headers alone.
        yield from (b"exchroutekey" + _AMQP_PROPERTIES + b"\0", b"exchroutekey" + _AMQP_TABLE + b"\x28")
    elif target == "partition_files":
        # The last byte chooses: a right checksum, and a compacted topic.
        yield from (batches + bytes([choices]) for batches in runs_of_batches(store) for choices in (0x20, 0x60))
    elif target in _PREFIXES:
        for batches in runs_of_batches(store):
            data = batches[_HEADER_BYTES:] if target in _STARTS_WITH_RECORDS else batches
            yield from (prefix + data for prefix in _PREFIXES[target])
