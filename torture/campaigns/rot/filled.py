"""A small store in which everything occurs that can rot, what it holds, and ways to bring it back to that."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import eventlog
from eventlog import EventLog, Record, TopicPartition
from tests.support import heads, payloads

EVENTS, TABLE, GROUP = "events", "table", "readers"
# In a batch header, not under the checksum:
LEADER_EPOCH = range(12, 16)  # says nothing about a record
BASE_OFFSET = range(8)  # guarded by the order of batches; not where compaction leaves gaps between them
_LENGTH = struct.Struct(">qi")  # the base offset, and how many bytes of a batch come behind these
_MANY = 18


@dataclass
class Filled:
    """A closed store, and what it held: `records` by partition, and the bytes of every file by its path in the store."""

    path: Path
    records: dict[TopicPartition, list[Record]] = field(default_factory=dict)
    bounds: dict[TopicPartition, tuple[int, int]] = field(default_factory=dict)
    committed: dict[TopicPartition, int] = field(default_factory=dict)
    content: dict[str, bytes] = field(default_factory=dict)
    epochs: dict[str, set[int]] = field(default_factory=dict)
    unguarded: dict[str, set[int]] = field(default_factory=dict)

    def restore(self) -> None:
        """Make every file what it was, in place: a head knows its inode."""
        for path in [path for path in self.path.rglob("*") if path.is_file()]:
            if str(path.relative_to(self.path)) not in self.content:
                path.unlink()
        for name, content in self.content.items():
            path = self.path / name
            if not path.exists() or path.read_bytes() != content:
                with open(path, "r+b" if path.exists() else "wb") as file:
                    file.write(content)
                    file.truncate()

    def flip(self, name: str, bit: int) -> None:
        """Flip one bit of a file."""
        with open(self.path / name, "r+b") as file:
            file.seek(bit // 8)
            file.write(bytes([self.content[name][bit // 8] ^ 1 << bit % 8]))

    def reboot(self) -> None:
        """Let every mapped file be one of an earlier boot."""
        for path in (self.path / "shared").iterdir():
            if path.suffix in (".head", ".acks"):
                heads.simulate_reboot(path)

    def kill(self) -> None:
        """Let it look as if the last users of the partitions had been killed."""
        for path in (self.path / "shared").glob("*.head"):
            heads.break_seal(path)


def fill(path: Path, random: random.Random) -> Filled:
    """Make the store: sealed segments and active ones, plain and compressed batches, keys, headers, nulls, deleted records, a
    compacted topic, and a group."""
    store = Filled(path)
    with eventlog.open(path) as log:
        log.create_topic(EVENTS, 2, {"segment.bytes": 1500, "index.interval.bytes": 128, "retention.ms": -1})
        log.create_topic(TABLE, 1, {"segment.bytes": 1024, "index.interval.bytes": 128, "cleanup.policy": "compact"})
        for partition in range(2):
            _fill_events(log, partition, random)
        for number in range(40):
            log.partition(TABLE, 0).append(b"row %d" % number, b"key %d" % (number % 7), timestamp=1000 + number)
        log.maintain(compact_all=True)
        log.partition(EVENTS, 0).delete_records(5)
        with log.consumer([EVENTS, TABLE], group=GROUP, auto_offset_reset="earliest") as consumer:
            consumer.poll(max_records=1000)
            consumer.commit({TopicPartition(EVENTS, 0): 11, TopicPartition(EVENTS, 1): 7, TopicPartition(TABLE, 0): 39})
        for place in (TopicPartition(EVENTS, 0), TopicPartition(EVENTS, 1), TopicPartition(TABLE, 0)):
            opened = log.partition(*place)
            store.records[place] = list(opened.records())
            store.bounds[place] = opened.start_offset, opened.end_offset
        store.committed = dict(log.group(GROUP).committed())
    store.content = {str(found.relative_to(path)): found.read_bytes() for found in path.rglob("*") if found.is_file()}
    for name in store.content:
        if name.endswith(".log"):
            positions = list(_positions(store.content[name]))
            store.epochs[name] = {position + byte for position in positions for byte in LEADER_EPOCH}
            if TABLE in name:
                store.unguarded[name] = {position + byte for position in positions for byte in BASE_OFFSET}
    return store


def _positions(log: bytes) -> Iterator[int]:
    """Where the batches of a .log file begin."""
    position = 0
    while position < len(log):
        yield position
        position += _LENGTH.unpack_from(log, position)[1] + _LENGTH.size


def _fill_events(log: EventLog, number: int, random: random.Random) -> None:
    partition = log.partition(EVENTS, number)
    for place in range(0, _MANY, 3):
        values = [payloads.value(number, place + step, place, step, 3, random.randrange(80)) for step in range(3)]
        codec = ("none", "gzip", "zstd", "lz4", "snappy", "none")[place // 3]
        timestamps = [1000 + place + step for step in range(4)]
        partition.append_many([*values, b"same " * 30], timestamps=timestamps, compression=codec)
        partition.append(None, b"key %d" % place, [("header", b"value"), ("null", None)], 1003 + place)
