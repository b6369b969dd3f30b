"""NATS JetStream, with streams in files."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import nats
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy, StorageType, StreamConfig

from benchmarks.peers import server
from benchmarks.peers.peer import RECEIVE_SECONDS_MAX, Durability, Peer, Session, Stream
from benchmarks.workloads import BATCH_EVENTS, Events
from tests.interop.apache_kafka import free_ports

_IN_FLIGHT_MAX = 4000


class _Session(Session):
    """The client is for asyncio, so a session has a loop, and goes into it once for each operation."""

    def __init__(self, stream: Stream) -> None:
        self._name = stream.name
        self._loop = asyncio.new_event_loop()
        self._connection: Any = self._do(nats.connect(stream.address))
        self._stream: Any = self._connection.jetstream(publish_async_max_pending=_IN_FLIGHT_MAX)
        self._subscription: Any = None

    def _do(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return self._loop.run_until_complete(coroutine)

    def appender(self) -> Callable[..., object]:
        publish, name, run = self._stream.publish, self._name, self._loop.run_until_complete
        return lambda value: run(publish(name, value))

    def append(self, events: Events) -> None:
        async def append_all() -> None:
            for value in events.values:
                await self._stream.publish(self._name, value)

        self._do(append_all())

    def append_batches(self, batches: Sequence[Events]) -> None:
        for batch in batches:
            self.send(batch)

    def send(self, events: Events) -> None:
        async def send_all() -> None:
            acknowledgements = [
                await self._stream.publish_async(self._name, value, wait_stall=RECEIVE_SECONDS_MAX) for value in events.values
            ]
            await asyncio.gather(*acknowledgements)

        self._do(send_all())

    def read(self, count: int) -> None:
        config = ConsumerConfig(ack_policy=AckPolicy.NONE)

        async def read_all() -> None:
            subscription = await self._stream.pull_subscribe(self._name, config=config)
            seen = 0
            while seen < count:
                seen += len(await subscription.fetch(min(BATCH_EVENTS, count - seen)))

        self._do(read_all())

    def seek(self, offsets: Sequence[int]) -> None:
        async def seek_all() -> None:
            for offset in offsets:
                await self._stream.get_msg(self._name, seq=offset + 1, direct=True)

        self._do(seek_all())

    def join(self, is_committing: bool) -> None:
        config = ConsumerConfig(ack_policy=AckPolicy.ALL, max_ack_pending=10 * BATCH_EVENTS)
        self._subscription = self._do(self._stream.pull_subscribe(self._name, durable="readers", config=config))

    def consume(self, count: int, commit_every: int | None) -> None:
        step = commit_every or BATCH_EVENTS

        async def consume_all() -> None:
            seen = 0
            while seen < count:
                found = await self._subscription.fetch(min(step, count - seen))
                await found[-1].ack_sync()
                seen += len(found)

        self._do(consume_all())

    def receive(self) -> None:
        if self._subscription is None:
            raise RuntimeError("listen before you receive")
        self._do(self._subscription.next_msg(RECEIVE_SECONDS_MAX))

    def listen(self) -> None:
        config = ConsumerConfig(ack_policy=AckPolicy.NONE, deliver_policy=DeliverPolicy.NEW)
        self._subscription = self._do(self._stream.subscribe(self._name, config=config))

    def close(self) -> None:
        self._do(self._connection.close())
        self._loop.close()


class Contender(Peer):
    """A server of its own, and a stream with one subject in it."""

    name = "nats"
    packages = ("nats-py",)
    settings: ClassVar = {"process": "JetStream in files, replicas=1; batches are 1,000 in flight"}
    lacks: ClassVar = {
        "disk": "nats-server syncs every two minutes; sync_interval: always came with 2.10",
        "commit": "an event is acknowledged, not a position",
    }

    def why_not(self) -> str | None:
        return None if shutil.which("nats-server") else "nats-server is not installed"

    def versions(self) -> dict[str, str]:
        return {**super().versions(), "NATS": server.version_in("nats-server", "--version")}

    @contextmanager
    def running(self, directory: Path, durability: Durability) -> Iterator[str]:
        port, _ = free_ports()
        command = ["nats-server", "--jetstream", "--store_dir", str(directory), "--addr", "127.0.0.1", "--port", str(port)]
        with server.running(command, directory, lambda: server.connect(port)):
            yield f"nats://127.0.0.1:{port}"

    def _manage(self, address: str, use: Callable[[Any], Coroutine[Any, Any, object]]) -> None:
        async def connect_and_use() -> None:
            connection = await nats.connect(address)
            await use(connection.jetstream())
            await connection.close()

        asyncio.run(connect_and_use())

    def create(self, stream: Stream) -> None:
        config = StreamConfig(
            name=stream.name, subjects=[stream.name], storage=StorageType.FILE, num_replicas=1, allow_direct=True
        )
        self._manage(stream.address, lambda manager: manager.add_stream(config))

    def open(self, stream: Stream, partition: int = 0) -> Session:
        return _Session(stream)

    def drop(self, stream: Stream) -> None:
        self._manage(stream.address, lambda manager: manager.delete_stream(stream.name))
