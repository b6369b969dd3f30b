"""What the processes of consumer groups do in tests. Each is called as `role(connection, ...)` in a process of its own."""

from __future__ import annotations

import ctypes
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

import eventlog
from eventlog import Consumer, Group, Producer, RebalanceListener, Receipt, Record, TopicPartition
from tests.support.stores import TOPIC
from tests.support.workers import what_is_raised

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


def own_everything(connection: Connection, store: Path, group: str, instance_id: str) -> None:
    """Be the only member of a group; report its partitions, and poll no more until a message."""
    options = {"instance_id": instance_id, "session_timeout_ms": 600_000}
    with eventlog.open(store) as log, log.consumer(TOPIC, group=group, **options) as consumer:
        consumer.poll(timeout=0)
        connection.send(len(consumer.assignment()))
        connection.recv()


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


USES_OF_CLIENTS: dict[str, Callable[[Clients], Any]] = {
    "producer.send": lambda clients: clients.producer.send(TOPIC, b"x"),
    "producer.flush": lambda clients: clients.producer.flush(),
    "producer.on_ack": lambda clients: clients.producer.on_ack("group", print),
    "receipt.is_acked": lambda clients: clients.receipt.is_acked("group"),
    "receipt.wait_acked": lambda clients: clients.receipt.wait_acked("group", timeout=0),
    "consumer.poll": lambda clients: clients.consumer.poll(timeout=0),
    "consumer.commit": lambda clients: clients.consumer.commit(),
    "consumer.iteration": lambda clients: next(iter(clients.consumer)),
    "consumer.begun iteration": lambda clients: [next(clients.iterator), clients.consumer.commit()],
    "consumer.assign": lambda clients: clients.consumer.assign([TopicPartition(TOPIC, 0)]),
    "consumer.assignment": lambda clients: clients.consumer.assignment(),
    "consumer.subscribe": lambda clients: clients.consumer.subscribe(TOPIC),
    "consumer.subscription": lambda clients: clients.consumer.subscription(),
    "consumer.committed": lambda clients: clients.consumer.committed(TopicPartition(TOPIC, 0)),
    "consumer.position": lambda clients: clients.consumer.position(TopicPartition(TOPIC, 0)),
    "consumer.rewind": lambda clients: clients.consumer.rewind(),
    "consumer.offsets_for_transaction": lambda clients: clients.consumer.offsets_for_transaction(),
    "consumer.seek": lambda clients: clients.consumer.seek(TopicPartition(TOPIC, 0), 0),
    "consumer.seek_to_beginning": lambda clients: clients.consumer.seek_to_beginning(),
    "consumer.seek_to_end": lambda clients: clients.consumer.seek_to_end(),
    "consumer.seek_to_time": lambda clients: clients.consumer.seek_to_time(0),
    "consumer.pause": lambda clients: clients.consumer.pause(),
    "consumer.resume": lambda clients: clients.consumer.resume(),
    "consumer.paused": lambda clients: clients.consumer.paused(),
    "group.committed": lambda clients: clients.group.committed(),
    "group.lag": lambda clients: clients.group.lag(),
    "group.progress": lambda clients: clients.group.progress(),
    "group.plan_reset": lambda clients: clients.group.plan_reset({TopicPartition(TOPIC, 0): 0}),
    "group.describe": lambda clients: clients.group.describe(),
    "group.reset": lambda clients: clients.group.reset({TopicPartition(TOPIC, 0): 0}),
    "group.history": lambda clients: clients.group.history(),
    "group.plan_undo": lambda clients: clients.group.plan_undo(),
    "group.undo_reset": lambda clients: clients.group.undo_reset(),
    "group.delete_offsets": lambda clients: clients.group.delete_offsets([]),
    "group.delete": lambda clients: clients.group.delete(),
}


class Clients(NamedTuple):
    producer: Producer
    receipt: Receipt
    consumer: Consumer
    iterator: Iterator[Record]
    group: Group


def use_clients_after_fork(connection: Connection, store: Path) -> None:
    """Fork with clients in use; the child reports what every public name of them raises, and works with a store of its own."""
    log = eventlog.open(store)
    producer = log.producer()
    receipt = producer.send(TOPIC, b"before the fork")
    consumer = log.consumer(TOPIC, group="parents")
    iterator = iter(consumer)
    next(iterator)
    consumer.commit()
    clients = Clients(producer, receipt, consumer, iterator, log.group("parents"))
    child = os.fork()
    if child == 0:
        try:
            connection.send({name: what_is_raised(use, clients) for name, use in USES_OF_CLIENTS.items()})
            consumer.close()
            producer.close()
            _work_in_child(connection, store)
        except BaseException as error:
            connection.send(repr(error))
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    producer.send(TOPIC, b"by the parent")
    found = [next(iterator).value for _ in range(2)]
    consumer.commit()
    connection.send((found, len(log.group("parents").describe().members)))
    log.close()


def _work_in_child(connection: Connection, store: Path) -> None:
    with eventlog.open(store) as log, log.producer() as producer, log.consumer(TOPIC, group="childs") as consumer:
        receipt = producer.send(TOPIC, b"by the child")
        while not receipt.is_acked("childs"):
            consumer.poll()
            consumer.commit(sync=True)
        connection.send("the child has consumed by itself")


def leave_everything_open(connection: Connection, store: Path) -> None:
    """End without closing anything, with threads of all kinds at work and a record that waits."""
    log = eventlog.open(store)
    producer = log.producer(linger_ms=1_000_000)
    producer.send("waiting", b"gathered")
    producer.on_ack("open", print)
    consumer = log.consumer(TOPIC, group="open")
    log.producer().send(TOPIC, b"x")
    consumer.poll()
    consumer.commit()
    connection.send("leaving")


def join_and_fork(connection: Connection, store: Path) -> None:
    """Join a group, fork a child that lives on, and report its process id."""
    log = eventlog.open(store)
    consumer = log.consumer(TOPIC, group="forking")
    consumer.poll(timeout=0)
    child = os.fork()
    if child == 0:
        signal.pause()
        os._exit(0)
    connection.send(child)
    connection.recv()


def end(process_id: int) -> None:
    """Kill a process that is nobody's child any more."""
    os.kill(process_id, signal.SIGKILL)


_GENERATIONS = 60


def wait_while_a_group_comes_and_goes(connection: Connection, store: Path, group: str) -> None:
    """Make, use and delete a group again and again while threads wait for it; report what was raised that should not be."""
    unexpected: list[str] = []
    is_over = threading.Event()
    with eventlog.open(store, fsync="never") as log, log.producer() as producer:
        receipt = producer.send(TOPIC, b"x", partition=0)

        def wait() -> None:
            while not is_over.is_set():
                try:
                    receipt.wait_acked(group, timeout=0.001)
                    receipt.is_acked(group)
                except Exception as error:
                    unexpected.append(repr(error))

        threads = [threading.Thread(target=wait) for _ in range(3)]
        for thread in threads:
            thread.start()
        for _ in range(_GENERATIONS):
            with log.consumer(TOPIC, group=group) as consumer:
                consumer.poll()
                consumer.commit()
            log.group(group).delete()
            if group in log.groups() or receipt.is_acked(group):
                unexpected.append("the group is there after it was deleted")
        is_over.set()
        for thread in threads:
            thread.join()
    connection.send(unexpected)


def die_while_reading_the_catalog(connection: Connection, store: Path) -> None:
    """Be killed inside a read transaction."""
    with eventlog.open(store) as log, log.store.catalog.groups.read("any"):
        connection.send("reading")
        connection.recv()


def look_and_poll(connection: Connection, store: Path, group: str) -> None:
    """Report how many live members a group has, and the offsets of the records that one more is handed."""
    with eventlog.open(store) as log:
        count = len(log.group(group).describe().members)
        with log.consumer(TOPIC, group=group) as consumer:
            connection.send((count, [record.offset for record in consumer.poll(timeout=0)]))


def join_and_fork_natively(connection: Connection, store: Path, group: str) -> None:
    """Join a group, and fork a child that lives on, as a library does that knows nothing of Python; report its process id."""
    log = eventlog.open(store)
    consumer = log.consumer(TOPIC, group=group)
    consumer.poll(timeout=0)
    child = ctypes.PyDLL(None).fork()
    if child == 0:
        signal.pause()
        os._exit(0)
    connection.send(child)
    connection.recv()
