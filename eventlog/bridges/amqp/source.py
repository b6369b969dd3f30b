"""The messages of a queue of RabbitMQ, which gives each again until it is acknowledged.

An acknowledgement counts for the channel that the message came through. What came through an earlier one is in the queue
again."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any, NamedTuple

import pika.exceptions
import pika.spec

from eventlog.bridges.amqp.connection import OPTIONS, SYSTEM, Connection
from eventlog.bridges.amqp.deliveries import Delivery, Reading
from eventlog.bridges.amqp.queues import check_kind, have_queue
from eventlog.bridges.endpoints import SourceContext
from eventlog.bridges.message import Message
from eventlog.bridges.url import Url
from eventlog.errors import BridgeError, ConnectionLostError, InvalidArgumentError

_OPTIONS = {"queue", "exclusive", "reject", *OPTIONS}
_ENCODED, _BODY = 4, 5  # in what is noted of a delivery
_PREFETCH_MAX = 2**16 - 1
# So much may wait to be taken before more is read from the connection.
_WAITING_BYTES_MAX = 8 << 20


class _Token(NamedTuple):
    """What acknowledges a message: the number of the connection, and the tag that counts there."""

    connection: int
    tag: int


def make_source(url: Url, context: SourceContext) -> RabbitSource:
    """The source of an `amqp:` or `amqps:` URL. Raises `InvalidArgumentError`."""
    return RabbitSource(url, context)


class RabbitSource:
    """A queue that is consumed. `waiting_bytes` are in memory, and were not received yet."""

    system = SYSTEM

    def __init__(self, url: Url, context: SourceContext) -> None:
        url.check_options(_OPTIONS)
        check_kind(context.create)
        self._queue = url.options.get("queue", "")
        if not self._queue:
            raise InvalidArgumentError(f"{url} must have queue=NAME")
        self._is_exclusive = _option(url, "exclusive", "false", ("false", "true")) == "true"
        self._may_reject = _option(url, "reject", "never", ("never", "dead-letter")) == "dead-letter"
        self._reading = Reading(context.key, context.identity)
        self._context = context
        self._connection = Connection(url)
        self.label = self._connection.label
        self._connections = 0
        self._waiting: deque[tuple[Any, ...]] = deque()
        self.waiting_bytes = 0
        self._cancelled = False

    def open(self) -> None:
        """Connect, see that the queue is there, and begin to consume it."""
        self._forget()
        connection = self._connection
        connection.open()
        have_queue(connection, self._queue, self._context.create)
        channel = connection.channel
        connection.call(channel.basic_qos, prefetch_count=min(self._context.window_records, _PREFETCH_MAX))
        channel.add_on_cancel_callback(self._note_cancel)
        connection.on_delivery(self._note)
        try:
            connection.call(channel.basic_consume, self._queue, self._note_large, exclusive=self._is_exclusive)
        except pika.exceptions.ChannelClosedByBroker as error:
            # The consumer that has it alone may be this bridge's own, of a connection that RabbitMQ still holds.
            raise ConnectionLostError(f"{self.label}: RabbitMQ refuses to let it be consumed: {error.reply_text}") from error

    def _forget(self) -> None:
        self._connections += 1
        self._waiting.clear()
        self.waiting_bytes = 0
        self._cancelled = False

    def _note(self, *delivery: Any) -> None:
        self._waiting.append(delivery)
        self.waiting_bytes += len(delivery[_ENCODED]) + len(delivery[_BODY])

    def _note_large(self, _: object, method: Any, properties: Any, body: bytes) -> None:
        exchange, routing_key = _encoded(method.exchange), _encoded(method.routing_key)
        self._note(method.delivery_tag, method.redelivered, exchange, routing_key, properties.raw, body)

    def _note_cancel(self, _: object) -> None:
        self._cancelled = True

    def receive(self, timeout: float, count_max: int) -> Sequence[Message]:
        """What has come, in the order of the queue."""
        # Not more than half of the window, so that RabbitMQ sends the other half while these are appended.
        count_max = min(count_max, max(self._context.window_records // 2, 1))
        self._gather(timeout, count_max)
        if self._cancelled:
            raise ConnectionLostError(f"{self.label}: RabbitMQ has ended the consumer: the queue was deleted, or moves")
        return [self._taken() for _ in range(min(count_max, len(self._waiting)))]

    def _gather(self, timeout: float, count: int) -> None:
        """Wait for the first message, and take what has come with it: each append costs a flush."""
        waiting = self._waiting
        self._connection.check()
        came = -1
        while len(waiting) < count and len(waiting) > came and self.waiting_bytes < _WAITING_BYTES_MAX:
            came = len(waiting)
            self._connection.attend(0 if waiting else timeout)

    def _taken(self) -> Message:
        tag, is_redelivered, exchange, routing_key, encoded, body = self._waiting.popleft()
        self.waiting_bytes -= len(encoded) + len(body)
        delivery = Delivery.of(exchange, routing_key, is_redelivered, encoded, body)
        return self._reading.message(delivery, _Token(self._connections, tag))

    def acknowledge(self, messages: Sequence[Message]) -> None:
        """All up to the last one of these at once."""
        token = messages[-1].token if messages else None
        if isinstance(token, _Token) and token.connection == self._connections:
            self._on_channel("basic_ack", token.tag, multiple=True)

    def refuse(self, message: Message, reason: str) -> None:
        """To the queue's dead-letter exchange, if the URL says that it has one: AMQP does not tell."""
        if not self._may_reject:
            raise BridgeError(
                f"{self.label}: a message cannot be collected ({reason}). If the queue has a dead-letter exchange, "
                "add reject=dead-letter to the URL: without that exchange RabbitMQ would drop the message"
            )
        token = message.token
        if isinstance(token, _Token) and token.connection == self._connections:
            self._on_channel("basic_reject", token.tag, requeue=False)

    def _on_channel(self, name: str, *arguments: object, **named: object) -> None:
        self._connection.check()
        try:
            getattr(self._connection.channel, name)(*arguments, **named)
        except pika.exceptions.AMQPError:
            self._connection.check()
            raise

    def depth(self) -> int | None:
        """How many messages are ready in the queue."""
        self._connection.check()
        try:
            answer = self._connection.call(self._connection.channel.queue_declare, self._queue, passive=True)
        except pika.exceptions.ChannelClosedByBroker as error:
            raise ConnectionLostError(f"{self.label}: RabbitMQ has hung up: {error.reply_text}") from error
        return int(answer.message_count)

    def close(self) -> None:
        """Hang up, once RabbitMQ has the acknowledgements."""
        self._connection.close()
        self._forget()


def _encoded(text: str | bytes) -> bytes:
    return text.encode() if isinstance(text, str) else text  # pika leaves what is not UTF-8 as it is


def _option(url: Url, name: str, default: str, known: tuple[str, ...]) -> str:
    value = url.options.get(name, default)
    if value not in known:
        raise InvalidArgumentError(f"{url}: {name} must be one of {', '.join(known)}, not {value!r}")
    return value
