"""persist-queue: its acknowledging queue in SQLite. Getting and acknowledging is consuming and committing."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from persistqueue import SQLiteAckQueue

from benchmarks.peers.peer import Durability, Peer, Session, Stream

_SYNCHRONOUS: dict[Durability, str] = {"process": "OFF", "disk": "FULL"}


class _Session(Session):
    def __init__(self, stream: Stream) -> None:
        self._queue = SQLiteAckQueue(str(stream.directory))
        # It has no setting for it; without one every put waits for the disk.
        self._queue._conn.execute(f"PRAGMA synchronous = {_SYNCHRONOUS[stream.durability]}")

    def appender(self) -> Callable[..., object]:
        put: Callable[..., object] = self._queue.put
        return put

    def consume(self, count: int, commit_every: int | None) -> None:
        step = commit_every or 1000
        for _ in range(0, count, step):
            items = [self._queue.get(raw=True) for _ in range(step)]
            for item in items:
                self._queue.ack(id=item["pqid"])

    def close(self) -> None:
        self._queue.close()


class Contender(Peer):
    """One queue in a database of its own."""

    name = "persist_queue"
    packages = ("persist-queue",)
    settings: ClassVar = {"process": "SQLiteAckQueue, synchronous=OFF", "disk": "SQLiteAckQueue as it is (synchronous=FULL)"}
    lacks: ClassVar = {
        "keys": "a queue holds items",
        "headers": "a queue holds items",
        "compression": "it has none",
        "append_batches": "it puts one at a time",
        "send": "there is nothing in flight",
        "read": "getting is consuming",
        "read_records": "getting is consuming",
        "seek": "a queue is read from its front",
        "consume": "getting marks each item already",
        "commit_many": "each item is marked by itself",
        "commit": "there is no position: each item is marked",
        "receive": "it wakes threads of its own process only",
        "processes": "its counts are kept in one process",
        "threads": "one connection, one lock",
    }

    def open(self, stream: Stream, partition: int = 0) -> Session:
        return _Session(stream)
