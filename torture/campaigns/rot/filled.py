"""A small store in which everything occurs that can rot, and one that is large; what they hold, and ways to bring them back to
that."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import eventlog
from eventlog import EventLog, Record, TopicPartition
from tests.support import heads, made_batches, payloads

EVENTS, TABLE, TRANSACTIONS, GROUP = "events", "table", "transactions", "readers"
# In a batch header, not under the checksum:
LEADER_EPOCH = range(12, 16)  # says nothing about a record
BASE_OFFSET = range(8)  # guarded by the order of batches; not where compaction leaves gaps between them
_LENGTH = struct.Struct(">qi")  # the base offset, and how many bytes of a batch come behind these
_MANY, _FEW = 18, 6
_TRANSACTIONAL = 0x10  # in a batch's attributes
_LARGE_RECORDS, _LARGE_BATCH, _LARGE_VALUE_BYTES = 32_000, 125, 1024
_SOUGHT_MAX = 60


@dataclass
class Filled:
    """A closed store, and what it held: `records` by partition, those to be `sought` alone, and the bytes of every file by its
    path in the store."""

    path: Path
    records: dict[TopicPartition, list[Record]] = field(default_factory=dict)
    sought: dict[TopicPartition, list[Record]] = field(default_factory=dict)
    bounds: dict[TopicPartition, tuple[int, int]] = field(default_factory=dict)
    committed: dict[TopicPartition, int] = field(default_factory=dict)
    content: dict[str, bytes] = field(default_factory=dict)
    epochs: dict[str, set[int]] = field(default_factory=dict)
    unguarded: dict[str, set[int]] = field(default_factory=dict)
    batches: dict[str, list[int]] = field(default_factory=dict)  # where they begin in each .log

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
        self.overwrite(name, bit // 8, bytes([self.content[name][bit // 8] ^ 1 << bit % 8]))

    def overwrite(self, name: str, position: int, content: bytes) -> None:
        """Change some bytes of a file."""
        with open(self.path / name, "r+b") as file:
            file.seek(position)
            file.write(content)

    def reboot(self) -> None:
        """Let every mapped file be one of an earlier boot."""
        for path in (self.path / "shared").iterdir():
            if path.suffix in (".head", ".acks"):
                heads.simulate_reboot(path)

    def kill(self) -> None:
        """Let it look as if the last users of the partitions had been killed."""
        for path in (self.path / "shared").glob("*.head"):
            heads.break_seal(path)


def fill(path: Path, random: random.Random, is_large: bool) -> Filled:
    """Make a store."""
    store = Filled(path)
    with eventlog.open(path) as log:
        committed = (_fill_with_much if is_large else _fill_with_everything)(log, random)
        with log.consumer(list(log.topics()), group=GROUP, auto_offset_reset="earliest") as consumer:
            consumer.poll(max_records=1000)
            consumer.commit(committed)
        for place in committed:
            opened = log.partition(*place)
            store.records[place] = records = list(opened.records())
            store.sought[place] = records if len(records) <= _SOUGHT_MAX else random.sample(records, _SOUGHT_MAX)
            store.bounds[place] = opened.start_offset, opened.end_offset
        store.committed = dict(log.group(GROUP).committed())
    store.content = {str(found.relative_to(path)): found.read_bytes() for found in path.rglob("*") if found.is_file()}
    for name in store.content:
        if name.endswith(".log"):
            store.batches[name] = positions = list(_positions(store.content[name]))
            store.epochs[name] = {position + byte for position in positions for byte in LEADER_EPOCH}
            if TABLE in name:
                store.unguarded[name] = {position + byte for position in positions for byte in BASE_OFFSET}
    return store


def _fill_with_everything(log: EventLog, random: random.Random) -> dict[TopicPartition, int]:
    """Sealed segments and active ones, plain and compressed batches, keys, headers, nulls, deleted records, a compacted topic,
    transactions.

    Returns what is to be committed, for each partition."""
    log.create_topic(EVENTS, 2, {"segment.bytes": 1500, "index.interval.bytes": 128, "retention.ms": -1})
    log.create_topic(TABLE, 1, {"segment.bytes": 1024, "index.interval.bytes": 128, "cleanup.policy": "compact"})
    _fill_events(log, 0, random, _MANY)
    _fill_events(log, 1, random, _FEW)
    for number in range(40):
        log.partition(TABLE, 0).append(b"row %d" % number, b"key %d" % (number % 7), timestamp=1000 + number)
    log.maintain(compact_all=True)
    log.partition(EVENTS, 0).delete_records(5)
    _fill_transactions(log)
    committed = {TopicPartition(EVENTS, 0): 11, TopicPartition(EVENTS, 1): 7, TopicPartition(TABLE, 0): 39}
    return committed | {TopicPartition(TRANSACTIONS, 0): 4}


def _fill_transactions(log: EventLog) -> None:
    """An aborted transaction and a committed one, in a sealed segment and in the active one."""
    log.create_topic(TRANSACTIONS, 1, {"segment.ms": 2**62, "retention.ms": -1})
    partition = log.partition(TRANSACTIONS, 0).log
    for number in range(4):
        partition.append(made_batches.batch(
            made_batches.values(b"%d same" % number), producer_id=7, producer_epoch=0, base_sequence=number,
            attributes=_TRANSACTIONAL,
        ))  # fmt: skip
        partition.append_marker(7, 0, 0, commit=number % 2 == 1)
        if number == 1:
            partition.roll()


def _fill_with_much(log: EventLog, random: random.Random) -> dict[TopicPartition, int]:
    """Eight segments, larger than any block that is read, in batches of which every fourth is compressed."""
    log.create_topic(EVENTS, 1, {"segment.bytes": 4 * 2**20, "retention.ms": -1})
    partition = log.partition(EVENTS, 0)
    for first in range(0, _LARGE_RECORDS, _LARGE_BATCH):
        is_compressed = first // _LARGE_BATCH % 4 == 3
        offsets = range(first, first + _LARGE_BATCH)
        values = [b"%d same " % offset * 128 if is_compressed else random.randbytes(_LARGE_VALUE_BYTES) for offset in offsets]
        partition.append_many(
            values, timestamps=[1000 + offset for offset in offsets], compression="zstd" if is_compressed else "none"
        )
    return {TopicPartition(EVENTS, 0): 1000}


def _positions(log: bytes) -> Iterator[int]:
    """Where the batches of a .log file begin."""
    position = 0
    while position < len(log):
        yield position
        position += _LENGTH.unpack_from(log, position)[1] + _LENGTH.size


def _fill_events(log: EventLog, number: int, random: random.Random, records: int) -> None:
    partition = log.partition(EVENTS, number)
    for place in range(0, records, 3):
        values = [payloads.value(number, place + step, place, step, 3, random.randrange(80)) for step in range(3)]
        codec = ("none", "gzip", "zstd", "lz4", "snappy", "none")[place // 3]
        timestamps = [1000 + place + step for step in range(4)]
        partition.append_many([*values, b"same " * 30], timestamps=timestamps, compression=codec)
        partition.append(None, b"key %d" % place, [("header", b"value"), ("null", None)], 1003 + place)
