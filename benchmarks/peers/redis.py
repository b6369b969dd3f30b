"""Redis streams, through a Unix socket, with an append-only file and a client that parses in C."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import hiredis  # noqa: F401  # redis takes it by itself where it is there
import redis

from benchmarks.peers import server
from benchmarks.peers.peer import RECEIVE_SECONDS_MAX, Durability, Peer, Session, Stream
from benchmarks.workloads import BATCH_EVENTS, Events

_FIELD = b"value"
_GROUP = "readers"
_FSYNC: dict[Durability, str] = {"process": "everysec", "disk": "always"}


class _Session(Session):
    def __init__(self, stream: Stream) -> None:
        self._client: Any = redis.Redis(unix_socket_path=stream.address)
        self._name = stream.name
        self._ids: list[bytes] = []
        found = self._client.xrevrange(self._name, count=1)
        self._received = found[0][0] if found else b"0"

    def appender(self) -> Callable[..., object]:
        xadd, name = self._client.xadd, self._name
        return lambda value: xadd(name, {_FIELD: value})

    def append_batches(self, batches: Sequence[Events]) -> None:
        self._pipe(batches, is_transaction=True)

    def send(self, events: Events) -> None:
        self._pipe(list(events.batches()), is_transaction=False)

    def _pipe(self, batches: Sequence[Events], *, is_transaction: bool) -> None:
        for batch in batches:
            with self._client.pipeline(transaction=is_transaction) as pipeline:
                for value in batch.values:
                    pipeline.xadd(self._name, {_FIELD: value})
                self._ids += pipeline.execute()

    def read(self, count: int) -> None:
        start = "-"
        for _ in range(0, count, BATCH_EVENTS):
            found = self._client.xrange(self._name, start, count=BATCH_EVENTS)
            start = f"({found[-1][0].decode()}"

    def seek(self, offsets: Sequence[int]) -> None:
        for offset in offsets:
            self._client.xrange(self._name, self._ids[offset], self._ids[offset])

    def join(self, is_committing: bool) -> None:
        self._client.xgroup_create(self._name, _GROUP, "0")

    def consume(self, count: int, commit_every: int | None) -> None:
        step = commit_every or BATCH_EVENTS
        for _ in range(0, count, step):
            found = self._client.xreadgroup(_GROUP, "reader", {self._name: ">"}, count=step)
            events = found[0][1] if isinstance(found, list) else next(iter(found.values()))[0]
            self._client.xack(self._name, _GROUP, *(identifier for identifier, _ in events))

    def receive(self) -> None:
        found = self._client.xread({self._name: self._received}, count=1, block=int(RECEIVE_SECONDS_MAX * 1000))
        if not found:
            raise TimeoutError("no event came")
        events = found[0][1] if isinstance(found, list) else next(iter(found.values()))[0]
        self._received = events[0][0]

    def close(self) -> None:
        self._client.close()


class Contender(Peer):
    """A server of its own, and a stream in it."""

    name = "redis"
    packages = ("redis", "hiredis")
    settings: ClassVar = {
        "process": "append-only file, appendfsync=everysec; batches are MULTI",
        "disk": "append-only file, appendfsync=always; batches are MULTI",
    }
    lacks: ClassVar = {"commit": "each event is acknowledged by itself"}

    def why_not(self) -> str | None:
        return None if shutil.which("redis-server") else "redis-server is not installed"

    def versions(self) -> dict[str, str]:
        return {**super().versions(), "Redis": server.version_in("redis-server", "--version")}

    @contextmanager
    def running(self, directory: Path, durability: Durability) -> Iterator[str]:
        address = str(directory / "socket")
        command = ["redis-server", "--port", "0", "--unixsocket", address, "--dir", str(directory), "--save", "",
                   "--appendonly", "yes", "--appendfsync", _FSYNC[durability]]  # fmt: skip
        with server.running(command, directory, lambda: server.connect_unix(address)):
            yield address

    def create(self, stream: Stream) -> None:
        return None

    def open(self, stream: Stream, partition: int = 0) -> Session:
        return _Session(stream)

    def drop(self, stream: Stream) -> None:
        with redis.Redis(unix_socket_path=stream.address) as client:
            client.delete(stream.name)
