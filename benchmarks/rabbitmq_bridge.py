"""How fast bridges to and from RabbitMQ are beside pika alone: python -m benchmarks.rabbitmq_bridge.

Rounds alternate, on one server: pika publishes with confirms, and a bridge ships; pika consumes, acknowledging a thousand
messages at once, and a bridge collects, which puts them on disk first. Seconds of the processor are those of this process.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
import uuid
from collections.abc import Callable
from itertools import takewhile
from pathlib import Path
from typing import Any, NamedTuple

import pika

import eventlog
from eventlog import EventLog
from tests.interop.rabbitmq.server import Server, why_not

_BasicProperties: Any = pika.BasicProperties  # has no types
_WINDOW = 2000
_ACKNOWLEDGE_EVERY = 1000
_TOPIC = "events"
_SECONDS_MAX = 300.0


class Round(NamedTuple):
    """How long a way took, by the clock and by the processor, for so many messages."""

    messages: int
    seconds: float
    processor_seconds: float

    @property
    def rate(self) -> float:
        """Messages a second."""
        return self.messages / self.seconds


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
    _value = b"x" * 100

    def _begin(self) -> None:
        self._next = 1
        self._unconfirmed: dict[int, None] = {}
        self._channel.confirm_delivery(self._note, callback=lambda _: self._fill())

    def _fill(self) -> None:
        while len(self._unconfirmed) < _WINDOW and self._next <= self._count:
            self._channel.basic_publish("", self._queue, self._value, self._properties, mandatory=True)
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


def _ship(log: EventLog, url: str, queue: str) -> None:
    log.ship(_TOPIC, f"{url}?queue={queue}", group=str(uuid.uuid4()), window=_WINDOW).run(until_idle=0)


def _collect(log: EventLog, url: str, queue: str, count: int) -> None:
    topic = str(uuid.uuid4())
    log.create_topic(topic)
    bridge = log.collect(topic, f"{url}?queue={queue}", window=_WINDOW)
    bridge.start()
    if not log.partition(topic, 0).wait(count - 1, _SECONDS_MAX):
        raise RuntimeError(f"not all messages came: {bridge.progress()}")
    bridge.stop()


def _timed(count: int, work: Callable[[], object]) -> Round:
    began, used = time.perf_counter(), time.process_time()
    work()
    return Round(count, time.perf_counter() - began, time.process_time() - used)


def _round(server: Server, log: EventLog, count: int) -> dict[str, Round]:
    queues = [str(uuid.uuid4()) for _ in range(2)]
    connection = server.connect()
    for queue in queues:
        connection.channel().queue_declare(queue, durable=True)
    url = server.url
    rounds = {
        "pika publishes": _timed(count, _Publisher(url, queues[0], count).run),
        "a bridge ships": _timed(count, lambda: _ship(log, url, queues[1])),
        "pika consumes": _timed(count, _Consumer(url, queues[0], count).run),
        "a bridge collects": _timed(count, lambda: _collect(log, url, queues[1], count)),
    }
    for queue in queues:
        connection.channel().queue_delete(queue)
    connection.close()
    return rounds


def _print(results: list[dict[str, Round]]) -> None:
    for name in results[0]:
        rounds = [each[name] for each in results]
        rate = statistics.median(each.rate for each in rounds)
        processor = statistics.median(each.processor_seconds / each.messages for each in rounds)
        print(f"{name:18} {rate:9,.0f} messages/s  {processor * 1e6:5.1f} µs of the processor each")
    for bridge, client in (("a bridge ships", "pika publishes"), ("a bridge collects", "pika consumes")):
        ratio = statistics.median(each[bridge].rate / each[client].rate for each in results)
        print(f"{bridge} at {ratio:.2f} of the rate at which {client}")


def main() -> None:
    """Run the rounds and print their medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=50_000, help="messages of a round")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    problem = why_not()
    if problem is not None:
        raise SystemExit(problem)
    with (
        tempfile.TemporaryDirectory() as directory,
        Server(Path(directory) / "server").running() as server,
        eventlog.open(Path(directory) / "store") as log,
    ):
        log.create_topic(_TOPIC)
        for start in range(0, options.count, 1000):
            log.partition(_TOPIC, 0).append_many([b"x" * 100] * min(1000, options.count - start))
        _print([_round(server, log, options.count) for _ in range(options.rounds)])


if __name__ == "__main__":
    main()
