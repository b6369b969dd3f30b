"""What processes do in transactions in tests. Each is called as `role(connection, ...)` in a process of its own."""

from __future__ import annotations

import signal
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import eventlog
from eventlog import ProducerFencedError, StaleMemberError
from eventlog.catalog.transactions import TransactionCatalog
from eventlog.storage.partition.log import PartitionLog

_STEPS = {  # what the process is about to do for the which time; "change" is one of the catalog
    "open": ("", 0),
    "deciding": ("change", 1),
    "marking": ("marker", 1),
    "second marker": ("marker", 2),
    "completing": ("change", 2),
    "renewing": ("change", 3),
}


def stop_at(connection: Connection, store: Path, step: str, commits: bool) -> None:
    """Send records to both partitions of `events` and an offset, end the transaction, and stop at a step: "open", "deciding",
    "marking", "second marker" or "completing"."""
    with eventlog.open(store) as log, log.producer(transactional_id="dying") as producer:
        producer.begin()
        for number in range(4):
            producer.send("events", b"%d" % number, partition=number % 2)
        producer.send_offsets({eventlog.TopicPartition("inputs", 0): 1}, group="g")
        producer.flush()
        what, count = _STEPS[step]
        if what == "change":
            _stop_before(TransactionCatalog, "change", count, connection)
        elif what == "marker":
            _stop_before(PartitionLog, "append_marker", count, connection)
        else:
            _stop(connection)
        producer.commit() if commits else producer.abort()


def renew(connection: Connection, store: Path, step: str, producer_id: int, epoch: int) -> None:
    """Abort the transaction of producer "t" as it wants to go on in a new epoch, and stop at a step: "marking", "completing" or
    "renewing"."""
    what, count = _STEPS[step]
    kind = TransactionCatalog if what == "change" else PartitionLog
    _stop_before(kind, "change" if what == "change" else "append_marker", count, connection)
    with eventlog.open(store) as log:
        log.open_transactions.coordinator.init("t", 60_000, expected=(producer_id, epoch))


def _stop_before(kind: type, name: str, count: int, connection: Connection) -> None:
    """Let this process stop before the call of this number of a method."""
    real: Callable[..., Any] = getattr(kind, name)
    calls = iter(range(count - 1))

    def stopping(*arguments: Any, **options: Any) -> Any:
        if next(calls, None) is None:
            _stop(connection)
        return real(*arguments, **options)

    setattr(kind, name, stopping)


def _stop(connection: Connection) -> None:
    connection.send("there")
    signal.pause()


def transform(connection: Connection, store: Path, transactional_id: str) -> None:
    """Copy `inputs` to `outputs`, in transactions, and report each one; until this is killed, or is told to end."""
    with (
        eventlog.open(store) as log,
        log.producer(transactional_id=transactional_id) as producer,
        log.consumer("inputs", group="transformers", max_poll_interval_ms=60_000) as consumer,
    ):
        while not connection.poll():
            records = consumer.poll(timeout=0.05, max_records=7)
            if not records:
                continue
            try:
                with producer.transaction(consumer):
                    for record in records:
                        producer.send("outputs", record.value, key=record.value)
            except StaleMemberError:
                continue  # a rebalance came between: another member has these records now
            except ProducerFencedError:
                return
            connection.send(len(records))
