"""SQLite with a write-ahead log: a table of events, and one of consumers' positions."""

from __future__ import annotations

import sqlite3
from collections import deque
from collections.abc import Callable, Sequence
from typing import ClassVar

from benchmarks.peers.peer import Peer, Session, Stream
from benchmarks.workloads import Events

_SCHEMA = """
PRAGMA journal_mode = WAL;
CREATE TABLE events (offset INTEGER PRIMARY KEY, partition INTEGER, key BLOB, value BLOB) STRICT;
CREATE TABLE positions (consumer TEXT PRIMARY KEY, offset INTEGER) STRICT, WITHOUT ROWID;
"""
_INSERT = "INSERT INTO events (partition, key, value) VALUES (?, ?, ?)"
_COMMIT = "INSERT INTO positions VALUES ('readers', ?) ON CONFLICT DO UPDATE SET offset = excluded.offset"
_SYNCHRONOUS = {"process": "OFF", "disk": "FULL"}
_BUSY_SECONDS_MAX = 60


def connect(stream: Stream) -> sqlite3.Connection:
    """A connection in autocommit mode, so that each statement is a transaction."""
    path = stream.directory / "events.sqlite"
    connection = sqlite3.connect(path, isolation_level=None, timeout=_BUSY_SECONDS_MAX, check_same_thread=False)
    connection.execute(f"PRAGMA synchronous = {_SYNCHRONOUS[stream.durability]}")
    return connection


class _Session(Session):
    def __init__(self, stream: Stream, partition: int) -> None:
        self._connection = connect(stream)
        self._partition = partition

    def appender(self) -> Callable[..., object]:
        execute, partition = self._connection.execute, self._partition
        return lambda value, key=None: execute(_INSERT, (partition, key, value))

    def append_batches(self, batches: Sequence[Events]) -> None:
        for batch in batches:
            keys: Sequence[bytes | None] = batch.keys or [None] * len(batch)
            self._connection.execute("BEGIN IMMEDIATE")
            rows = ((self._partition, key, value) for key, value in zip(keys, batch.values, strict=True))
            self._connection.executemany(_INSERT, rows)
            self._connection.execute("COMMIT")

    def read(self, count: int) -> None:
        deque(self._connection.execute("SELECT value FROM events ORDER BY offset LIMIT ?", (count,)), maxlen=0)

    def seek(self, offsets: Sequence[int]) -> None:
        for offset in offsets:
            self._connection.execute("SELECT value FROM events WHERE offset = ?", (offset + 1,)).fetchone()

    def consume(self, count: int, commit_every: int | None) -> None:
        select = "SELECT offset, key, value FROM events WHERE offset > ? ORDER BY offset LIMIT ?"
        for position in range(0, count, commit_every or 1000):
            found = self._connection.execute(select, (position, commit_every or 1000)).fetchall()
            if commit_every is not None:
                self._connection.execute(_COMMIT, (found[-1][0],))

    def commit(self, count: int) -> None:
        for number in range(count):
            self._connection.execute(_COMMIT, (number,))

    def close(self) -> None:
        self._connection.close()


class Contender(Peer):
    """One database, which all processes share."""

    name = "sqlite"
    settings: ClassVar = {"process": "WAL, synchronous=OFF", "disk": "WAL, synchronous=FULL"}
    lacks: ClassVar = {
        "headers": "the table has no column for them",
        "compression": "it has none",
        "send": "there is nothing in flight",
        "receive": "it wakes nobody: a reader has to ask again and again",
        "threads": "a connection takes one statement at a time",
        "read_records": "a row is a record: see read",
    }

    def versions(self) -> dict[str, str]:
        return {"SQLite": sqlite3.sqlite_version}

    def create(self, stream: Stream) -> None:
        super().create(stream)
        connection = connect(stream)
        connection.executescript(_SCHEMA)
        connection.close()

    def open(self, stream: Stream, partition: int = 0) -> Session:
        return _Session(stream, partition)
