"""eventsourcing: its recorder of events and of consumers' positions in SQLite, without aggregates and their serialisation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import count as count_from
from itertools import islice
from typing import ClassVar
from uuid import uuid4

from eventsourcing.persistence import StoredEvent, Tracking
from eventsourcing.sqlite import SQLiteDatastore, SQLiteProcessRecorder

from benchmarks.peers.peer import Durability, Peer, Session, Stream
from benchmarks.workloads import Events

_SYNCHRONOUS: dict[Durability, str] = {"process": "OFF", "disk": "FULL"}
_PAGE_EVENTS = 1000


class _Session(Session):
    def __init__(self, stream: Stream) -> None:
        self._datastore = SQLiteDatastore(str(stream.directory / "events.sqlite"), pool_size=1, max_overflow=0)
        # It has no setting for it; without one every insert waits for the disk.
        with self._datastore.get_connection(commit=True) as connection:
            connection.cursor().execute(f"PRAGMA synchronous = {_SYNCHRONOUS[stream.durability]}")
        self._recorder = SQLiteProcessRecorder(self._datastore)
        self._recorder.create_table()
        self._aggregate = uuid4()
        self._numbers = count_from()

    def appender(self) -> Callable[..., object]:
        insert, aggregate, numbers = self._recorder.insert_events, self._aggregate, self._numbers
        return lambda value: insert([StoredEvent(aggregate, next(numbers), "event", value)])

    def append_batches(self, batches: Sequence[Events]) -> None:
        for batch in batches:
            numbered = zip(islice(self._numbers, len(batch)), batch.values, strict=True)
            self._recorder.insert_events([StoredEvent(self._aggregate, number, "event", value) for number, value in numbered])

    def read(self, count: int) -> None:
        for start in range(1, count + 1, _PAGE_EVENTS):
            for _ in self._recorder.select_notifications(start, _PAGE_EVENTS):
                pass

    def seek(self, offsets: Sequence[int]) -> None:
        for offset in offsets:
            self._recorder.select_notifications(offset + 1, 1)

    def consume(self, count: int, commit_every: int | None) -> None:
        step = commit_every or _PAGE_EVENTS
        for start in range(1, count + 1, step):
            found = self._recorder.select_notifications(start, step)
            if commit_every is not None:
                self._recorder.insert_tracking(Tracking("readers", int(found[-1].id)))

    def commit(self, count: int) -> None:
        for number in range(1, count + 1):
            self._recorder.insert_tracking(Tracking("readers", number))

    def close(self) -> None:
        self._datastore.close()


class Contender(Peer):
    """One database with the events of one aggregate."""

    name = "eventsourcing"
    packages = ("eventsourcing",)
    settings: ClassVar = {"process": "SQLite recorder, synchronous=OFF", "disk": "SQLite recorder, synchronous=FULL"}
    lacks: ClassVar = {
        "keys": "an event belongs to an aggregate",
        "headers": "an event has no place for them",
        "compression": "it compresses each event for itself",
        "send": "there is nothing in flight",
        "receive": "its SQLite recorder has no subscriptions",
        "processes": "an aggregate has one writer",
        "threads": "SQLite has one writer",
        "read_records": "a notification is a record: see read",
    }

    def open(self, stream: Stream, partition: int = 0) -> Session:
        return _Session(stream)
