"""RabbitMQ, with publisher confirms: a stream where the system may sync, a quorum queue where the disk has to have it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import takewhile
from pathlib import Path
from typing import Any, ClassVar

import pika

from benchmarks.peers import server
from benchmarks.peers.peer import Durability, Peer, Session, Stream
from benchmarks.workloads import BATCH_EVENTS, Events
from tests.interop.rabbitmq.server import Server, why_not

_KIND: dict[Durability, str] = {"process": "stream", "disk": "quorum"}
_PERSISTENT: Any = pika.BasicProperties(delivery_mode=2)


def _parameters(address: str) -> pika.ConnectionParameters:
    return pika.ConnectionParameters("127.0.0.1", int(address), heartbeat=0)


class _Channel:
    """A channel on pika's connection with callbacks; the loop runs while something is waited for, and then stops."""

    def __init__(self, address: str) -> None:
        self._connection: Any = pika.SelectConnection(_parameters(address), on_open_callback=self._opened)
        self.channel: Any = None
        self.wait()

    def _opened(self, connection: Any) -> None:
        connection.channel(on_open_callback=self._channel_opened)

    def _channel_opened(self, channel: Any) -> None:
        self.channel = channel
        self.stop_waiting()

    def wait(self) -> None:
        """Run callbacks until one of them calls `stop_waiting`."""
        self._connection.ioloop.start()

    def stop_waiting(self, *arguments: object) -> None:
        """End the wait that runs callbacks just now."""
        self._connection.ioloop.stop()

    def close(self) -> None:
        """Hang up."""
        self._connection.add_on_close_callback(self.stop_waiting)
        self._connection.close()
        self.wait()


class _Publisher(_Channel):
    """Publishes with many confirms under way."""

    def __init__(self, stream: Stream) -> None:
        super().__init__(stream.address)
        self._name = stream.name
        self._published = 0
        self._unconfirmed: dict[int, None] = {}
        self.channel.confirm_delivery(self._note, callback=self.stop_waiting)
        self.wait()

    def _note(self, frame: Any) -> None:
        assert isinstance(frame.method, pika.spec.Basic.Ack), frame
        tag = frame.method.delivery_tag
        confirmed = list(takewhile(tag.__ge__, self._unconfirmed)) if frame.method.multiple else [tag]
        for number in confirmed:
            del self._unconfirmed[number]
        if not self._unconfirmed:
            self.stop_waiting()

    def publish(self, values: Sequence[bytes]) -> None:
        """Publish all, and return when all are confirmed."""
        for value in values:
            self.channel.basic_publish("", self._name, value, _PERSISTENT)
        self._unconfirmed.update(dict.fromkeys(range(self._published + 1, self._published + len(values) + 1)))
        self._published += len(values)
        self.wait()


class _Reader(_Channel):
    """Reads a stream, and acknowledges a thousand at once, for more to come."""

    def __init__(self, stream: Stream, offset: str, acknowledge_every: int) -> None:
        super().__init__(stream.address)
        self._acknowledge_every = acknowledge_every
        self._seen = self._wanted = 0
        self.channel.basic_qos(prefetch_count=2 * acknowledge_every, callback=self.stop_waiting)
        self.wait()
        arguments = {"x-stream-offset": offset}
        self.channel.basic_consume(stream.name, self._note, arguments=arguments, callback=self.stop_waiting)
        self.wait()

    def _note(self, channel: Any, method: Any, properties: Any, body: bytes) -> None:
        self._seen += 1
        if self._seen % self._acknowledge_every == 0:
            channel.basic_ack(method.delivery_tag, multiple=True)
        if self._seen == self._wanted:
            self.stop_waiting()

    def take(self, count: int) -> None:
        """Wait for so many more events."""
        self._wanted += count
        if self._seen < self._wanted:
            self.wait()


class _Session(Session):
    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._connection: Any = pika.BlockingConnection(_parameters(stream.address))
        self._channel: Any = self._connection.channel()
        self._channel.confirm_delivery()
        self._publisher: _Publisher | None = None
        self._listener: _Reader | None = None

    def appender(self) -> Callable[..., object]:
        publish, name = self._channel.basic_publish, self._stream.name
        return lambda value: publish("", name, value, _PERSISTENT)

    def append_batches(self, batches: Sequence[Events]) -> None:
        for batch in batches:
            self.send(batch)

    def send(self, events: Events) -> None:
        if self._publisher is None:
            self._publisher = _Publisher(self._stream)
        self._publisher.publish(events.values)

    def read(self, count: int) -> None:
        with closing(_Reader(self._stream, "first", BATCH_EVENTS)) as reader:
            reader.take(count)

    def listen(self) -> None:
        self._listener = _Reader(self._stream, "next", 1)

    def receive(self) -> None:
        assert self._listener is not None
        self._listener.take(1)

    def close(self) -> None:
        for channel in (self._publisher, self._listener):
            if channel is not None:
                channel.close()
        self._connection.close()


_OWN_POSITION = "consumers of a stream keep their position themselves"


class Contender(Peer):
    """A server of its own, and a queue in it."""

    name = "rabbitmq"
    packages = ("pika",)
    settings: ClassVar = {
        "process": "stream, publisher confirms; batches are 1,000 in flight",
        "disk": "quorum queue of one node, persistent messages, publisher confirms; batches are 1,000 in flight",
    }
    lacks: ClassVar = {
        "consume": _OWN_POSITION,
        "commit_each": _OWN_POSITION,
        "commit_many": _OWN_POSITION,
        "commit": _OWN_POSITION,
        "seek": "each place needs a consumer of its own",
    }

    def why_not(self) -> str | None:
        return why_not()

    def versions(self) -> dict[str, str]:
        return {**super().versions(), "RabbitMQ": server.version_in("dpkg-query", "-Wf${Version}", "rabbitmq-server")}

    @contextmanager
    def running(self, directory: Path, durability: Durability) -> Iterator[str]:
        with Server(directory, configuration="", emulator="").running() as running:
            yield str(running.port)

    def _declare(self, stream: Stream, use: Callable[[Any], object]) -> None:
        connection = pika.BlockingConnection(_parameters(stream.address))
        use(connection.channel())
        connection.close()

    def create(self, stream: Stream) -> None:
        arguments = {"x-queue-type": _KIND[stream.durability]}
        self._declare(stream, lambda channel: channel.queue_declare(stream.name, durable=True, arguments=arguments))

    def open(self, stream: Stream, partition: int = 0) -> Session:
        return _Session(stream)

    def drop(self, stream: Stream) -> None:
        self._declare(stream, lambda channel: channel.queue_delete(stream.name))
