"""A process with its clients, which does one thing at a time, as it is told, and tells what came of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

import eventlog
from eventlog import Consumer, EventLogError, MaintenanceReport, RebalanceListener, Receipt, Record, TopicPartition
from tests.support.model import Event
from tests.support.processes import Worker

_FOREVER_MS = 1_000_000  # nothing is appended for having waited: so the model knows when

Happened = tuple[int, str, tuple[TopicPartition, ...]]  # the number of a consumer, what its listener was told, and of what


class Reply(NamedTuple):
    """What a command returned, or the name and the text of the error that it raised, and what listeners heard before."""

    value: Any
    raised: str | None
    text: str
    happened: list[Happened]


class Read(NamedTuple):
    """What a poll returned, and where the consumer is after it."""

    records: list[Record]
    positions: dict[TopicPartition, int]
    topics: tuple[str, ...]


class _Listener(RebalanceListener):
    def __init__(self, tell: Callable[[str, Sequence[TopicPartition]], None], commits_when_revoked: bool) -> None:
        self._tell = tell
        self._commits = commits_when_revoked
        self.consumer: Consumer | None = None

    def assigned(self, partitions: Sequence[TopicPartition]) -> None:
        self._tell("assigned", partitions)

    def revoked(self, partitions: Sequence[TopicPartition]) -> None:
        self._tell("revoked", partitions)
        if self._commits:
            assert self.consumer is not None
            self.consumer.commit()

    def lost(self, partitions: Sequence[TopicPartition]) -> None:
        self._tell("lost", partitions)


class Host:
    """A store as this process has it open: a producer that appends at once, one that gathers, and consumers by number."""

    def __init__(self, store: Path) -> None:
        self.log = eventlog.open(store)
        self._producers = {False: self.log.producer(), True: self.log.producer(linger_ms=_FOREVER_MS)}
        self._receipts: list[Receipt] = []
        self._consumers: dict[int, Consumer] = {}
        self._happened: list[Happened] = []

    def do(self, command: str, *arguments: Any) -> Reply:
        """Call the method of this name."""
        self._happened = []
        try:
            return Reply(getattr(self, command)(*arguments), None, "", self._happened)
        except EventLogError as error:
            return Reply(None, type(error).__name__, str(error), self._happened)

    def close(self) -> None:
        self.log.close()

    # --- producers -------------------------------------------------------------------------------------------

    def send(
        self, gathers: bool, topic: str, events: Sequence[Event], partition: int | None
    ) -> list[tuple[int, int | None]]:
        """Send these; returns the partition of each, and its offset unless it is gathered. Receipts are kept, in order."""
        producer = self._producers[gathers]
        receipts = [
            producer.send(topic, event.value, event.key, event.headers or None, partition, event.timestamp) for event in events
        ]
        self._receipts += receipts
        return [(receipt.partition, None if gathers else receipt.offset) for receipt in receipts]

    def flush_producers(self) -> None:
        for producer in self._producers.values():
            producer.flush()

    def flush(self) -> None:
        """Bring everything that is open here to the disk; what producers have gathered goes on waiting."""
        self.log.flush()

    def ask_receipt(self, number: int) -> tuple[str, int, int, int]:
        """Topic, partition, offset and timestamp of a record that was sent."""
        receipt = self._receipts[number]
        return receipt.topic, receipt.partition, receipt.offset, receipt.timestamp

    def is_acked(self, number: int, group: str) -> tuple[bool, bool]:
        """Two ways to ask the same."""
        receipt = self._receipts[number]
        return receipt.is_acked(group), receipt.wait_acked(group, timeout=0)

    # --- consumers -------------------------------------------------------------------------------------------

    def open_consumer(self, number: int, topics: Sequence[str] | str, commits_when_revoked: bool, options: Any) -> None:
        """A text is a pattern."""

        def tell(what: str, partitions: Sequence[TopicPartition]) -> None:
            self._happened.append((number, what, tuple(partitions)))

        listener = _Listener(tell, commits_when_revoked)
        consumer = self.log.consumer(_wanted(topics), listener=listener, **options)
        listener.consumer = self._consumers[number] = consumer

    def poll(self, number: int, timeout: float, records_max: int) -> Read:
        consumer = self._consumers[number]
        records = consumer.poll(timeout, records_max)
        positions = {place: consumer.position(place) for place in consumer.assignment()}
        return Read(records, positions, consumer.subscription())

    def iterate(self, number: int, fails: bool) -> Read:
        """Take one record by iteration, if there is one, and leave the loop, by an error or not, with the record in hand. What
        was read ahead is given back, so that what comes next is what is there then."""
        consumer = self._consumers[number]
        records = []
        with suppress(ZeroDivisionError):
            for record in consumer.core.records(wait=False):
                records.append(record)
                if fails:
                    raise ZeroDivisionError
                break
        active = consumer.assignment() - consumer.paused()
        consumer.pause()
        if active:
            consumer.resume(*active)
        positions = {place: consumer.position(place) for place in consumer.assignment()}
        return Read(records, positions, consumer.subscription())

    def subscribe(self, number: int, topics: Sequence[str] | str) -> None:
        self._consumers[number].subscribe(_wanted(topics))

    def commit(self, number: int, offsets: Mapping[TopicPartition, int] | None, sync: bool) -> None:
        self._consumers[number].commit(offsets, sync=sync)

    def seek(self, number: int, place: TopicPartition, offset: int) -> None:
        self._consumers[number].seek(place, offset)

    def seek_to_time(self, number: int, place: TopicPartition, timestamp: int) -> None:
        self._consumers[number].seek_to_time(timestamp, place)

    def seek_to_beginning(self, number: int, place: TopicPartition) -> None:
        self._consumers[number].seek_to_beginning(place)

    def seek_to_end(self, number: int, place: TopicPartition) -> None:
        self._consumers[number].seek_to_end(place)

    def pause(self, number: int, place: TopicPartition) -> None:
        self._consumers[number].pause(place)

    def resume(self, number: int) -> set[TopicPartition]:
        """Go on with everything; returns what was paused."""
        consumer = self._consumers[number]
        paused = consumer.paused()
        consumer.resume()
        return paused

    def close_consumer(self, number: int) -> None:
        self._consumers.pop(number).close()

    # --- groups ----------------------------------------------------------------------------------------------

    def reset(self, group: str, offsets: Mapping[TopicPartition, int]) -> None:
        self.log.group(group).reset(offsets)

    def undo_reset(self, group: str) -> dict[TopicPartition, int | None]:
        return self.log.group(group).undo_reset()

    def delete_offsets(self, group: str, places: Sequence[TopicPartition]) -> None:
        self.log.group(group).delete_offsets(places)

    def delete_group(self, group: str) -> None:
        self.log.group(group).delete()

    # --- topics and upkeep -----------------------------------------------------------------------------------

    def create_topic(self, name: str, partitions: int, config: Mapping[str, object]) -> None:
        self.log.create_topic(name, partitions, config)

    def add_partitions(self, name: str, partitions: int) -> None:
        self.log.alter_topic(name, partitions=partitions)

    def delete_topic(self, name: str) -> None:
        self.log.delete_topic(name)

    def delete_records(self, place: TopicPartition, before: int) -> int:
        return self.log.partition(*place).delete_records(before)

    def maintain(self, compact_all: bool, dry_run: bool) -> MaintenanceReport:
        return self.log.maintain(compact_all=compact_all, dry_run=dry_run)

    def expire_groups(self) -> list[str]:
        return self.log.maintain(group_retention_ms=0).expired_groups

    def backup(self, destination: Path, link: bool) -> int:
        """Returns how many records are in it."""
        return self.log.backup(destination, link=link).records


def _wanted(topics: Sequence[str] | str) -> Sequence[str] | re.Pattern[str]:
    return re.compile(topics) if isinstance(topics, str) else topics


def serve(connection: Connection, store: Path) -> None:
    """What the process of a `RemoteHost` does, until it is sent None."""
    host = Host(store)
    while (command := connection.recv()) is not None:
        connection.send(host.do(*command))
    host.close()
    connection.send("closed")


class RemoteHost:
    """A `Host` in a process of its own."""

    def __init__(self, store: Path) -> None:
        self._worker = Worker(serve, store)

    def do(self, command: str, *arguments: Any) -> Reply:
        """Have the command done there."""
        self._worker.send((command, *arguments))
        reply: Reply = self._worker.receive()
        return reply

    def close(self) -> None:
        """Close the store there, and end the process."""
        self._worker.send(None)
        assert self._worker.receive() == "closed"
        self._worker.join()
        self._worker.connection.close()

    def kill(self) -> None:
        """SIGKILL."""
        self._worker.kill()
        self._worker.connection.close()
