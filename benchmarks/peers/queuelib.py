"""queuelib: a first-in-first-out queue on disk for one process, which Scrapy uses. Popping is consuming."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from queuelib import FifoDiskQueue

from benchmarks.peers.peer import Peer, Session, Stream

_ITS_PLACE = "the place of head and tail is stored when the queue is closed, and only then"


class _Session(Session):
    def __init__(self, stream: Stream, partition: int) -> None:
        self._queue = FifoDiskQueue(str(stream.directory / str(partition)))

    def appender(self) -> Callable[..., object]:
        push: Callable[..., object] = self._queue.push
        return push

    def read(self, count: int) -> None:
        pop = self._queue.pop
        for _ in range(count):
            pop()

    def close(self) -> None:
        self._queue.close()


class Contender(Peer):
    """One queue. Bytes survive its process, but the queue's head does not: it is the nearest to "process" that it has."""

    name = "queuelib"
    packages = ("queuelib",)
    settings: ClassVar = {"process": "as it is: a write for each record; head and tail are lost with the process"}
    lacks: ClassVar = {
        "disk": "it never syncs",
        "keys": "a queue holds bytes",
        "headers": "a queue holds bytes",
        "compression": "it has none",
        "append_batches": "it pushes one at a time",
        "send": "there is nothing in flight",
        "seek": "a queue is read from its front",
        "read_records": "it holds values alone: see read",
        "consume": "popping is reading: see read",
        "commit_each": _ITS_PLACE,
        "commit_many": _ITS_PLACE,
        "commit": _ITS_PLACE,
        "receive": "it is for one process",
        "processes": "it is for one process",
        "threads": "it is for one thread",
    }

    def open(self, stream: Stream, partition: int = 0) -> Session:
        return _Session(stream, partition)
