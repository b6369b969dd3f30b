"""What processes do with transactions and numbered records until they die. Called as the roles in `mortals`.

Movers copy each record of one topic into another one, exactly once: their output and their positions are one transaction.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path

import eventlog
from eventlog import (
    Consumer,
    DuplicateSequenceError,
    EventLog,
    ProducerFencedError,
    Record,
    StaleMemberError,
    TopicPartition,
    TransactionalProducer,
)
from eventlog.options import FSYNC_POLICIES
from tests.support import payloads
from tests.support.stores import TOPIC

MOVED = "moved"
NUMBERED = "numbered"
PARTITIONS = 2
MOVERS = "movers"  # the group

_TRANSACTIONS = 30
_ABORTS = 0.3
_PASSES = 20
_SENT_AGAIN_MAX = 8


class _Mistake(Exception):
    """Why a transaction is aborted."""


def create(log: EventLog) -> None:
    """The topics that movers and numberers write to, with small segments."""
    small = {"segment.bytes": 16_384, "index.interval.bytes": 512}
    log.create_topic(MOVED, PARTITIONS, small)
    log.create_topic(NUMBERED, 1, small)


def _opened(store: Path, choices: random.Random) -> EventLog:
    return eventlog.open(store, fsync=choices.choice(FSYNC_POLICIES), fsync_interval_ms=choices.choice((5, 50, 1000)))


def copy_of(record: Record | tuple[int, int], writer: int, transaction: int, number: int, size: int) -> bytes:
    """What a mover makes of a record of `TOPIC`, the `number`-th of `size` in its transaction."""
    partition, offset = (record.partition, record.offset) if isinstance(record, Record) else record
    return payloads.value(writer, transaction, partition << 32 | offset, number, size)


def move(connection: Connection, store: Path, seed: int) -> None:
    """Copy records in transactions, and abort some; report ("moved", (writer, transaction, number of records)) of each that is
    committed, ("dropped", (writer, transaction)) of each that is aborted."""
    choices = random.Random(seed)
    name = choices.choice((f"mover-{seed}", "mover"))  # the latter may belong to several, of which one remains
    with _opened(store, choices) as log, log.consumer(TOPIC, group=MOVERS) as consumer:
        try:
            with log.producer(transactional_id=name, batch_bytes=choices.choice((1, 200, 2000))) as producer:
                for transaction in range(_TRANSACTIONS):
                    _move_some(connection, producer, consumer, choices, (seed, transaction))
        except ProducerFencedError:
            connection.send(("operated", name))


def _move_some(
    connection: Connection,
    producer: TransactionalProducer,
    consumer: Consumer,
    choices: random.Random,
    transaction: tuple[int, int],
) -> None:
    try:
        with producer.transaction(consumer):
            records = consumer.poll(timeout=0.02, max_records=choices.choice((1, 5, 20)))
            for number, record in enumerate(records):
                value = copy_of(record, *transaction, number, len(records))
                producer.send(MOVED, value, partition=choices.randrange(PARTITIONS))
            if choices.random() < _ABORTS:
                _append_before_abort(producer)
                raise _Mistake
    except (_Mistake, StaleMemberError):
        connection.send(("dropped", transaction))
    else:
        connection.send(("moved", (*transaction, len(records))))


def _append_before_abort(producer: TransactionalProducer) -> None:
    """Let the records be in the partitions, where a marker has to hide them: too many for a batch that waits."""
    for partition in range(PARTITIONS):
        producer.send(MOVED, bytes(3000), partition=partition)


def witness(connection: Connection, store: Path, seed: int) -> None:
    """Read what is committed; report ("witnessed", (partition, first, stop, offsets)): what was seen from `first` to `stop`."""
    choices = random.Random(seed)
    with _opened(store, choices) as log, log.consumer() as consumer:
        for number in range(PARTITIONS):
            place = TopicPartition(MOVED, number)
            consumer.assign([place])
            for _ in range(_PASSES):
                first = consumer.position(place)
                records: Sequence[Record] = consumer.poll(timeout=0.01, max_records=choices.choice((1, 10, 200)))
                offsets = [record.offset for record in records]
                connection.send(("witnessed", (number, first, consumer.position(place), offsets)))


def numbered(sequence: int) -> bytes:
    """The value of a record that is sent under this number."""
    return payloads.value(0, sequence, sequence, 0, 1)


def send_numbered(connection: Connection, store: Path, seed: int) -> None:
    """Send numbered records once, also those of which an earlier process did not learn that they were sent; report
    ("numbered", (number, offset)) of each whose offset is known."""
    choices = random.Random(seed)
    with _opened(store, choices) as log, log.producer(name="numberer") as producer:
        sequence = producer.next_sequence(NUMBERED, 0)
        for _ in range(_TRANSACTIONS):
            sequence = max(sequence - choices.randrange(_SENT_AGAIN_MAX), 0)
            for _ in range(_SENT_AGAIN_MAX):
                try:
                    offset = producer.send_once(NUMBERED, 0, sequence, numbered(sequence)).offset
                    connection.send(("numbered", (sequence, offset)))
                except DuplicateSequenceError:
                    pass
                sequence += 1
