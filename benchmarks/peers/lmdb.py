"""LMDB: events by ascending numbers, and consumers' positions, in two named databases."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import count as count_from
from itertools import islice
from typing import ClassVar

import lmdb

from benchmarks.peers.peer import Peer, Session, Stream
from benchmarks.workloads import Events

_MAP_BYTES = 2**34


def _numbers_behind(transaction: lmdb.Transaction) -> Iterator[int]:
    cursor = transaction.cursor()
    cursor.last()
    return count_from(int.from_bytes(cursor.key(), "big") + 1)


class _Session(Session):
    def __init__(self, stream: Stream, partition: int) -> None:
        durable = stream.durability == "disk"
        self._environment = lmdb.open(str(stream.directory), map_size=_MAP_BYTES, max_dbs=80, sync=durable)
        self._events = self._environment.open_db(b"events-%d" % partition)
        self._positions = self._environment.open_db(b"positions")
        self._numbers: Iterator[int] = count_from()

    def appender(self) -> Callable[..., object]:
        begin, events = self._environment.begin, self._events

        def append(value: bytes, key: bytes = b"") -> None:
            with begin(write=True, db=events) as transaction:
                while not transaction.put(next(self._numbers).to_bytes(8, "big"), key + value, append=True):
                    self._numbers = _numbers_behind(transaction)  # another process has appended meanwhile

        return append

    def append_batches(self, batches: Sequence[Events]) -> None:
        for batch in batches:
            numbers = islice(self._numbers, len(batch))
            rows = map(b"".join, zip(batch.keys, batch.values, strict=True)) if batch.keys else batch.values
            items = [(number.to_bytes(8, "big"), row) for number, row in zip(numbers, rows, strict=True)]
            with self._environment.begin(write=True, db=self._events) as transaction:
                transaction.cursor().putmulti(items, append=True)

    def read(self, count: int) -> None:
        with self._environment.begin(db=self._events) as transaction:
            deque(islice(transaction.cursor().iternext(keys=False), count), maxlen=0)

    def seek(self, offsets: Sequence[int]) -> None:
        for offset in offsets:
            with self._environment.begin(db=self._events) as transaction:
                transaction.get(offset.to_bytes(8, "big"))

    def _commit(self, offset: int) -> None:
        with self._environment.begin(write=True, db=self._positions) as transaction:
            transaction.put(b"readers", offset.to_bytes(8, "big"))

    def consume(self, count: int, commit_every: int | None) -> None:
        step = commit_every or 1000
        for offset in range(0, count, step):
            with self._environment.begin(db=self._events) as transaction:
                cursor = transaction.cursor()
                cursor.set_key(offset.to_bytes(8, "big"))
                deque(islice(cursor.iternext(), step), maxlen=0)
            if commit_every is not None:
                self._commit(offset)

    def commit(self, count: int) -> None:
        for number in range(count):
            self._commit(number)

    def close(self) -> None:
        self._environment.close()


class Contender(Peer):
    """One environment, which all processes share."""

    name = "lmdb"
    packages = ("lmdb",)
    settings: ClassVar = {"process": "sync=False", "disk": "sync=True"}
    lacks: ClassVar = {
        "headers": "a value has no place for them",
        "compression": "it has none",
        "send": "there is nothing in flight",
        "receive": "it wakes nobody: a reader has to ask again and again",
        "threads": "one write transaction at a time, each with a sync of its own",
        "read_records": "an item is a record: see read",
    }

    def versions(self) -> dict[str, str]:
        return {**super().versions(), "LMDB": ".".join(map(str, lmdb.version()))}

    def open(self, stream: Stream, partition: int = 0) -> Session:
        return _Session(stream, partition)
