"""What processes do that may die at any moment. Each is called as `role(connection, store, seed)` in a process of its own.

A role says what came of a call after the call has returned, and not before: what was said must never be lost. Each does a
bounded number of things and then ends in peace, if it lives that long.
"""

from __future__ import annotations

import random
from contextlib import suppress
from itertools import islice
from multiprocessing.connection import Connection
from pathlib import Path

import eventlog
from eventlog import Consumer, EventLog, EventLogError, GroupNotFoundError, StaleMemberError, TopicPartition
from eventlog.options import FSYNC_POLICIES
from tests.support import movers, payloads
from tests.support.members import spans_of
from tests.support.stores import TOPIC

PARTITIONS = 3
RETAINED = "retained"  # its oldest segments are deleted by their size
COMPACTED = "compacted"
PLACES = [*((TOPIC, number) for number in range(PARTITIONS)), (RETAINED, 0)]
GROUP = "workers"
RESET_GROUP = "wanderers"  # nobody reads in it, it is only reset
SHAKEN_GROUP = "shaken"  # it is reset and deleted while its members read and commit
STUMBLING_GROUP = "stumblers"  # its members commit by themselves, and their work fails at times

_UNITS = 60
_POLLS = 25
_OPERATIONS = 8
_SIZES = (1, 1, 1, 1, 2, 5, 40)
_FILLER_BYTES = (None, None, None, 3000, 20_000)
_SETTINGS = {
    "index.interval.bytes": (256, 512, 1024),
    "segment.bytes": (32_768, 65_536),
    "segment.ms": (1000, 604_800_000),
    "max.message.bytes": (200_000, 1_048_588),
    "message.timestamp.type": ("CreateTime", "LogAppendTime"),
}
_SETTINGS_OF_KEYED = {
    "cleanup.policy": ("compact", "delete", "compact,delete"),
    "max.compaction.lag.ms": (1, 2**63 - 1),
    "segment.ms": (1, 604_800_000),
    "min.cleanable.dirty.ratio": (0.1, 0.9),
    "delete.retention.ms": (0, 60_000),
    "segment.bytes": (4096, 8192),
}


def create(store: Path) -> None:
    """The store that they work on: small segments, so that they are rolled all the time."""
    small = {"segment.bytes": 32_768, "index.interval.bytes": 512}
    with eventlog.open(store) as log:
        log.create_topic(TOPIC, PARTITIONS, small)
        log.create_topic(RETAINED, 1, {**small, "retention.bytes": 100_000})
        movers.create(log)
        log.create_topic(COMPACTED, 1, {"segment.bytes": 8192, "cleanup.policy": "compact", "delete.retention.ms": 0})


def _opened(store: Path, choices: random.Random) -> EventLog:
    return eventlog.open(store, fsync=choices.choice(FSYNC_POLICIES), fsync_interval_ms=choices.choice((5, 50, 1000)))


class _Author:
    """Makes a writer's values: in each partition its sequence numbers rise by one."""

    def __init__(self, seed: int) -> None:
        self._writer = seed
        self._next: dict[tuple[str, int], tuple[int, int]] = {}

    def group(self, place: tuple[str, int], size: int, filler_bytes: int | None = None) -> tuple[int, list[bytes]]:
        """The first sequence number and the values of records that are appended as one unit."""
        sequence, group = self._next.get(place, (0, 0))
        self._next[place] = sequence + size, group + 1
        if size == 1:
            return sequence, [payloads.value(self._writer, sequence, group, 0, 1, filler_bytes)]
        return sequence, payloads.group_values(self._writer, sequence, group, size)


def append(connection: Connection, store: Path, seed: int) -> None:
    """Append records and groups; report (topic, partition, first offset, writer, first sequence number, size) of each."""
    choices = random.Random(seed)
    author = _Author(seed)
    with _opened(store, choices) as log:
        for _ in range(_UNITS):
            topic, number = choices.choice(PLACES)
            size = choices.choice(_SIZES)
            sequence, values = author.group((topic, number), size, choices.choice(_FILLER_BYTES))
            partition = log.partition(topic, number)
            first = partition.append(values[0]) if size == 1 else partition.append_many(values)[0]
            connection.send(("appended", (topic, number, first, seed, sequence, size)))
            if choices.random() < 0.1:
                partition.flush()


def produce(connection: Connection, store: Path, seed: int) -> None:
    """The same by a producer whose records wait for each other."""
    choices = random.Random(seed)
    author = _Author(seed)
    with _opened(store, choices) as log, log.producer(linger_ms=choices.choice((0, 5)), batch_bytes=4096) as producer:
        for _ in range(_UNITS // 10):
            sent = []
            for _ in range(20):
                topic, number = choices.choice(PLACES)
                sequence, values = author.group((topic, number), 1)
                sent.append((topic, number, sequence, producer.send(topic, values[0], partition=number)))
            for topic, number, sequence, receipt in sent:
                connection.send(("appended", (topic, number, receipt.offset, seed, sequence, 1)))


def consume(connection: Connection, store: Path, seed: int) -> None:
    """Be a member of a group; report [(partition, first, stop)] of what was handed out, and after each commit the
    ({partition: offset}, is it on disk) that was acknowledged."""
    choices = random.Random(seed)
    with _opened(store, choices) as log, log.consumer(TOPIC, group=GROUP) as consumer:
        for _ in range(_POLLS):
            spans = spans_of(consumer.poll(timeout=0.02, max_records=choices.choice((1, 20, 500))))
            connection.send(("handed out", spans))
            stops = {partition: stop for partition, _, stop in spans}
            if choices.random() < 0.3:
                stops = dict(choices.sample(list(stops.items()), min(1, len(stops))))
            if choices.random() < 0.1:
                _look_from_beside(store)
            is_synced = choices.random() < 0.2
            consumer.commit({TopicPartition(TOPIC, number): stop for number, stop in stops.items()}, sync=is_synced)
            connection.send(("committed", (stops, is_synced)))


def _look_from_beside(store: Path) -> None:
    """Open and close the store once more, as another part of a program does that knows nothing of this one."""
    with eventlog.open(store) as log:
        log.describe_groups()
    eventlog.diagnose(store)


def follow(connection: Connection, store: Path, seed: int) -> None:
    """Read partitions record by record outside a membership, and commit each; report (group, partition, offset) after that."""
    choices = random.Random(seed)
    group = f"follower-{seed}"
    with _opened(store, choices) as log, log.consumer(group=group) as consumer:
        for number in range(PARTITIONS):
            place = TopicPartition(TOPIC, number)
            consumer.assign([place])
            there = log.partition(*place).end_offset - consumer.position(place)
            for record in islice(consumer, min(there, _POLLS)):
                consumer.commit()
                connection.send(("followed", (group, number, record.offset + 1)))


def write_keys(connection: Connection, store: Path, seed: int) -> None:
    """Append records with keys of this writer's own; report (None, key, value) before each append, and (offset, key, value)
    after it."""
    choices = random.Random(seed)
    with _opened(store, choices) as log:
        partition = log.partition(COMPACTED, 0)
        for sequence in range(20 * _UNITS):
            key = b"%d/%d" % (seed, choices.randrange(40))
            value = None if choices.random() < 0.05 else b"%d" % sequence + bytes(choices.randrange(100))
            connection.send(("keyed", (None, key, value)))
            connection.send(("keyed", (partition.append(value, key), key, value)))


def maintain(connection: Connection, store: Path, seed: int) -> None:
    """Do rounds of housekeeping; report the failures of each."""
    with _opened(store, random.Random(seed)) as log:
        for _ in range(_OPERATIONS):
            connection.send(("maintained", log.maintain(compact_all=True).failures))


def operate(connection: Connection, store: Path, seed: int) -> None:
    """Open the store again and again; alter settings, reset a group, make a topic with a group and delete both."""
    choices = random.Random(seed)
    for number in range(_OPERATIONS):
        with _opened(store, choices) as log:
            topic, partition = choices.choice(PLACES)
            log.alter_topic(topic, config=_some(_SETTINGS, choices))
            log.alter_topic(COMPACTED, config=_some(_SETTINGS_OF_KEYED, choices))
            wandering = log.create_group(RESET_GROUP)
            bounds = log.offsets(topic)[partition]
            wandering.reset({TopicPartition(topic, partition): choices.randrange(bounds.start_offset, bounds.end_offset + 1)})
            name = f"passing-{seed}-{number}"
            log.create_topic(name)
            with log.consumer(name, group=name) as consumer:
                log.partition(name, 0).append(b"x")
                consumer.poll()
                consumer.commit(sync=True)
            log.group(name).delete()
            log.delete_topic(name)
            connection.send(("operated", name))


def _some(settings: dict[str, tuple[object, ...]], choices: random.Random) -> dict[str, object]:
    names = choices.sample(sorted(settings), choices.randrange(1, 4))
    return {name: choices.choice(settings[name]) for name in names}


def be_shaken(connection: Connection, store: Path, seed: int) -> None:
    """Join a group, read, commit and leave, again and again, whatever becomes of the group meanwhile."""
    choices = random.Random(seed)
    with _opened(store, choices) as log:
        for _ in range(_OPERATIONS):
            with log.consumer(TOPIC, group=SHAKEN_GROUP) as consumer:
                for _ in range(choices.randrange(1, 4)):
                    consumer.poll(timeout=0.01, max_records=50)
                    with suppress(StaleMemberError, GroupNotFoundError):
                        consumer.commit(sync=choices.random() < 0.2)
            connection.send(("operated", SHAKEN_GROUP))


def shake(connection: Connection, store: Path, seed: int) -> None:
    """Reset a group that is read, forget some of its offsets, delete it if nobody is there, and make it anew."""
    choices = random.Random(seed)
    with _opened(store, choices) as log:
        for _ in range(_OPERATIONS):
            group = log.create_group(SHAKEN_GROUP)
            place = TopicPartition(TOPIC, choices.randrange(PARTITIONS))
            with suppress(EventLogError):  # it is in use, or was deleted by another one of this role
                step = choices.randrange(4)
                if step == 0:
                    group.delete()
                elif step == 1:
                    group.delete_offsets([place])
                else:
                    end = log.partition(*place).end_offset
                    group.reset({place: choices.randrange(end + 1)})
            connection.send(("operated", SHAKEN_GROUP))


class _Stumble(Exception):
    """What goes wrong in the work on a record."""


def stumble(connection: Connection, store: Path, seed: int) -> None:
    """Be a member that commits by itself; report ("finished", (partition, offset)) of a record once the work on it is done, and
    fail at times, or close the store, with records in hand."""
    choices = random.Random(seed)
    for _ in range(_OPERATIONS):
        with suppress(_Stumble), _opened(store, choices) as log:
            consumer = log.consumer(TOPIC, group=STUMBLING_GROUP, auto_commit=True, auto_commit_interval_ms=1)
            if choices.random() < 0.5:
                with consumer:
                    _work(connection, consumer, choices)
            else:
                _work(connection, consumer, choices)


def _work(connection: Connection, consumer: Consumer, choices: random.Random) -> None:
    for _ in range(choices.randrange(1, 5)):
        records = consumer.poll(timeout=0.01, max_records=choices.choice((1, 3, 10)))
        for record in records:
            if choices.random() < 0.1:
                raise _Stumble
            connection.send(("finished", (record.partition, record.offset)))


def look(connection: Connection, store: Path, seed: int) -> None:
    """Read the catalog all the time; report after each look that nothing was wrong."""
    with _opened(store, random.Random(seed)) as log:
        for _ in range(_POLLS):
            log.describe_groups()
            log.offsets(TOPIC)
            connection.send(("operated", "look"))


def survive(connection: Connection, store: Path, seed: int) -> None:
    """Have all partitions open until a message; then append to each, as one who inherits the mutexes of the dead, report that
    as `append` does, and end with "survived"."""
    author = _Author(seed)
    with eventlog.open(store) as log:
        partitions = {place: log.partition(*place) for place in PLACES}
        connection.send("here")
        connection.recv()
        for place, partition in partitions.items():
            sequence, values = author.group(place, 1)
            connection.send(("appended", (*place, partition.append(values[0]), seed, sequence, 1)))
        connection.send("survived")
        connection.recv()
