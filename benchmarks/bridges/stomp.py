"""ActiveMQ Classic: stomp.py, with a receipt for each message, which is how it loses none; and bridges.

It gets a tenth of the messages, because it takes so long."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import stomp

from benchmarks.bridges.rounds import SECONDS_MAX, VALUE, Comparison, Load, Way, Work, compared, timed
from tests.interop import active_mq
from tests.interop.active_mq import Classic, Server

MESSAGES = 50_000

_TO = Way("a bridge ships to ActiveMQ", "stomp.py sends, a receipt each", 3)
_FROM = Way("a bridge collects from ActiveMQ", "stomp.py consumes, a receipt each", 3)
_OF_CLIENT = 10
_Connection: Any = stomp.Connection12  # its methods have no types
_ConnectionListener: Any = stomp.ConnectionListener


def why_not() -> str | None:
    """None, or why there is no ActiveMQ here."""
    return active_mq.fetch_classic()


@contextmanager
def running(directory: Path) -> Iterator[Server]:
    """A server."""
    with active_mq.running(Classic(directory)) as server:
        yield server


def compare(server: Server, load: Load, number: int) -> Iterator[Comparison]:
    """One round."""
    for_client, for_bridge = (str(uuid.uuid4()) for _ in range(2))
    few = load.messages // _OF_CLIENT
    url = server.url(for_bridge)
    yield compared(_TO, lambda: _send(server, for_client, few), lambda: load.ship(url), number)
    yield compared(_FROM, lambda: _consume(server, for_client, few), lambda: load.collect(url), number)


class _Listener(_ConnectionListener):
    """Lets a loop wait for each receipt, and acknowledges each message with one."""

    def __init__(self, connection: Any, messages: int) -> None:
        self._connection = connection
        self._left = messages
        self.receipt = threading.Semaphore(0)
        self.is_done = threading.Event()

    def on_message(self, frame: Any) -> None:
        self._connection.ack(frame.headers["ack"], receipt=frame.headers["ack"])

    def on_receipt(self, frame: Any) -> None:
        self.receipt.release()
        self._left -= 1
        if self._left == 0:
            self.is_done.set()


def _connected(server: Server, messages: int) -> tuple[Any, _Listener]:
    connection = _Connection([("127.0.0.1", server.port)])
    listener = _Listener(connection, messages)
    connection.set_listener("", listener)
    connection.connect(wait=True)
    return connection, listener


def _send(server: Server, queue: str, messages: int) -> Work:
    def work() -> None:
        connection, listener = _connected(server, messages)
        for number in range(messages):
            connection.send(f"/queue/{queue}", VALUE, persistent="true", receipt=str(number))
            if not listener.receipt.acquire(timeout=SECONDS_MAX):
                raise RuntimeError("no receipt came")
        connection.disconnect()

    return timed(messages, work)


def _consume(server: Server, queue: str, messages: int) -> Work:
    def work() -> None:
        connection, listener = _connected(server, messages)
        connection.subscribe(f"/queue/{queue}", id="0", ack="client-individual")
        if not listener.is_done.wait(SECONDS_MAX):
            raise RuntimeError("not all messages came")
        connection.disconnect()

    return timed(messages, work)
