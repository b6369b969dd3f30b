"""What the processes of consumer groups do in tests. Each is called as `role(connection, ...)` in a process of its own."""

from __future__ import annotations

from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import eventlog
from eventlog import Consumer, RebalanceListener, Record, TopicPartition
from tests.support.stores import TOPIC

_POLLS_A_COMMIT = 3


def produce(connection: Connection, store: Path, number: int, count: int, partitions: int) -> None:
    """Send records one by one to all partitions in turn; report how many, then hold the store open."""
    with eventlog.open(store, fsync="never") as log, log.producer() as producer:
        for sequence in range(count):
            producer.send(TOPIC, b"%d:%d" % (number, sequence), partition=sequence % partitions)
        connection.send(count)
        connection.recv()


class _CommitBeforeHandingOver(RebalanceListener):
    consumer: Consumer | None = None

    def revoked(self, partitions: Sequence[TopicPartition]) -> None:
        assert self.consumer is not None
        self.consumer.commit()


def consume(connection: Connection, store: Path, group: str, options: dict[str, Any]) -> None:
    """Be a member: report what each poll returned as [(partition, first, stop)], and commit at times after that.

    Any message ends it: the group is left, and "left" reported."""
    listener = _CommitBeforeHandingOver()
    with (
        eventlog.open(store, fsync="never") as log,
        log.consumer(TOPIC, group=group, listener=listener, **options) as consumer,
    ):
        listener.consumer = consumer
        polls = 0
        while not connection.poll():
            spans = spans_of(consumer.poll(timeout=0.05, max_records=100))
            if spans:
                connection.send(spans)
                polls += 1
            if polls % _POLLS_A_COMMIT == 0 or not spans:
                consumer.commit()
        connection.recv()
    connection.send("left")


def spans_of(records: Sequence[Record]) -> list[tuple[int, int, int]]:
    """Records as (partition, first, stop), after a check that each partition's follow one another."""
    spans: dict[int, list[int]] = {}
    for record in records:
        span = spans.setdefault(record.partition, [record.offset, record.offset])
        assert record.offset == span[1], f"{record.topic}-{record.partition}: {record.offset} after {span[1]}"
        span[1] = record.offset + 1
    return [(partition, first, stop) for partition, (first, stop) in spans.items()]


def commit_and_report(connection: Connection, store: Path, group: str, sync_every: int, fsync: str) -> None:
    """Consume record by record, commit each, and report (partition, offset, with sync) after the commit has returned."""
    with eventlog.open(store, fsync=fsync, fsync_interval_ms=20) as log, log.consumer(TOPIC, group=group) as consumer:
        for count, record in enumerate(consumer, 1):
            is_synced = count % sync_every == 0
            consumer.commit({TopicPartition(TOPIC, record.partition): record.offset + 1}, sync=is_synced)
            connection.send((record.partition, record.offset + 1, is_synced))


def produce_forever(connection: Connection, store: Path, partitions: int) -> None:
    """Send records to all partitions in turn, without flushing any."""
    with eventlog.open(store, fsync="never") as log, log.producer() as producer:
        connection.send("sending")
        sequence = 0
        while True:
            producer.send(TOPIC, b"%d" % sequence, partition=sequence % partitions)
            sequence += 1
