"""RabbitMQ: pika's own loops, with publisher confirms and with acknowledgements of a thousand messages at once; and bridges,
which have on disk what they acknowledge."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import takewhile
from pathlib import Path
from typing import Any

import pika

from benchmarks.bridges.rounds import VALUE, Comparison, Load, Way, Work, compared, timed
from tests.interop.rabbitmq import server as rabbitmq
from tests.interop.rabbitmq.server import Server

MESSAGES = 50_000

_TO = Way("a bridge ships to RabbitMQ", "pika publishes, with confirms", 0.8)
_FROM = Way("a bridge collects from RabbitMQ", "pika consumes, with acknowledgements", 0.7)
_WINDOW = 2000
_ACKNOWLEDGE_EVERY = 1000
_BasicProperties: Any = pika.BasicProperties  # has no types


def why_not() -> str | None:
    """None, or why there is no RabbitMQ here."""
    return rabbitmq.why_not()


@contextmanager
def running(directory: Path) -> Iterator[Server]:
    """A server."""
    with Server(directory / "server").running() as server:
        yield server


def compare(server: Server, load: Load, number: int) -> Iterator[Comparison]:
    """One round."""
    queues = [str(uuid.uuid4()) for _ in range(2)]
    connection = server.connect()
    for queue in queues:
        connection.channel().queue_declare(queue, durable=True)
    url = f"{server.url}?queue={queues[1]}"

    def client(kind: type[_Client]) -> Work:
        return timed(load.messages, kind(server.url, queues[0], load.messages).run)

    yield compared(_TO, lambda: client(_Publisher), lambda: load.ship(url), number)
    yield compared(_FROM, lambda: client(_Consumer), lambda: load.collect(url), number)
    for queue in queues:
        connection.channel().queue_delete(queue)
    connection.close()


class _Client:
    """pika alone, with its own loop; `_begin` starts the work, `_end` ends it."""

    def __init__(self, url: str, queue: str, count: int) -> None:
        self._queue, self._count = queue, count
        self._connection: Any = pika.SelectConnection(pika.URLParameters(url), on_open_callback=self._opened)
        self._channel: Any = None

    def _opened(self, connection: Any) -> None:
        connection.channel(on_open_callback=self._channel_opened)

    def _channel_opened(self, channel: Any) -> None:
        self._channel = channel
        self._begin()

    def _begin(self) -> None:
        raise NotImplementedError

    def _end(self) -> None:
        self._connection.ioloop.stop()

    def run(self) -> None:
        """Work until everything is done."""
        self._connection.ioloop.start()
        self._connection.add_on_close_callback(lambda *_: self._connection.ioloop.stop())
        self._connection.close()
        self._connection.ioloop.start()


class _Publisher(_Client):
    _properties: Any = _BasicProperties(delivery_mode=2)

    def _begin(self) -> None:
        self._next = 1
        self._unconfirmed: dict[int, None] = {}
        self._channel.confirm_delivery(self._note, callback=lambda _: self._fill())

    def _fill(self) -> None:
        while len(self._unconfirmed) < _WINDOW and self._next <= self._count:
            self._channel.basic_publish("", self._queue, VALUE, self._properties, mandatory=True)
            self._unconfirmed[self._next] = None
            self._next += 1

    def _note(self, frame: Any) -> None:
        tag = frame.method.delivery_tag
        for each in list(takewhile(tag.__ge__, self._unconfirmed)) if frame.method.multiple else [tag]:
            del self._unconfirmed[each]
        self._fill()
        if not self._unconfirmed:
            self._end()


class _Consumer(_Client):
    def _begin(self) -> None:
        self._seen = 0
        self._channel.basic_qos(prefetch_count=_WINDOW, callback=self._consume)

    def _consume(self, _: object) -> None:
        self._channel.basic_consume(self._queue, self._note)

    def _note(self, channel: Any, method: Any, properties: Any, body: bytes) -> None:
        self._seen += 1
        if self._seen % _ACKNOWLEDGE_EVERY == 0 or self._seen == self._count:
            channel.basic_ack(method.delivery_tag, multiple=True)
        if self._seen == self._count:
            self._end()
