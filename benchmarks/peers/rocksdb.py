"""RocksDB by way of rocksdict, with raw bytes as keys and values."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from itertools import count as count_from
from itertools import islice
from typing import ClassVar

from rocksdict import Options, Rdict, WriteBatch, WriteOptions

from benchmarks.peers.peer import Peer, Session, Stream
from benchmarks.workloads import Events

_POSITION = b"positions/readers"


class _Session(Session):
    def __init__(self, stream: Stream) -> None:
        options = Options(raw_mode=True)
        options.create_if_missing(True)
        self._store = Rdict(str(stream.directory), options)
        writing = WriteOptions()
        writing.sync = stream.durability == "disk"
        self._store.set_write_options(writing)
        self._writing = writing
        self._numbers = count_from()

    def appender(self) -> Callable[..., object]:
        put, numbers = self._store.put, self._numbers
        return lambda value, key=b"": put(next(numbers).to_bytes(8, "big"), key + value)

    def append_batches(self, batches: Sequence[Events]) -> None:
        for events in batches:
            batch = WriteBatch(raw_mode=True)
            rows = map(b"".join, zip(events.keys, events.values, strict=True)) if events.keys else events.values
            for number, row in zip(islice(self._numbers, len(events)), rows, strict=True):
                batch.put(number.to_bytes(8, "big"), row)
            self._store.write(batch, self._writing)

    def read(self, count: int) -> None:
        deque(islice(self._store.values(), count), maxlen=0)

    def seek(self, offsets: Sequence[int]) -> None:
        for offset in offsets:
            self._store.get(offset.to_bytes(8, "big"))

    def consume(self, count: int, commit_every: int | None) -> None:
        step = commit_every or 1000
        for offset in range(0, count, step):
            deque(islice(self._store.items(from_key=offset.to_bytes(8, "big")), step), maxlen=0)
            if commit_every is not None:
                self._store.put(_POSITION, offset.to_bytes(8, "big"))

    def commit(self, count: int) -> None:
        for number in range(count):
            self._store.put(_POSITION, number.to_bytes(8, "big"))

    def close(self) -> None:
        self._store.close()


class Contender(Peer):
    """One database."""

    name = "rocksdb"
    packages = ("rocksdict",)
    settings: ClassVar = {"process": "write-ahead log, sync=False", "disk": "write-ahead log, sync=True"}
    lacks: ClassVar = {
        "headers": "a value has no place for them",
        "compression": "its files are compressed later, in the background",
        "send": "there is nothing in flight",
        "receive": "it wakes nobody: a reader has to ask again and again",
        "processes": "one process at a time may open it",
        "threads": "rocksdict holds the interpreter's lock while it writes",
        "read_records": "an item is a record: see read",
    }

    def open(self, stream: Stream, partition: int = 0) -> Session:
        return _Session(stream)
