"""Records to RabbitMQ: published with confirms, to a queue or an exchange.

A message that reaches no queue is confirmed, too, and gone: so all are mandatory, and come back first. Confirms come in any
order and for several messages at once. What RabbitMQ rejects (a queue is full, or has no leader) it may take later: then the
bridge connects again, and sends one record at a time until one of them is accepted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import takewhile
from typing import Any, NoReturn

import pika.exceptions
import pika.spec

from eventlog.bridges.amqp.connection import OPTIONS, SYSTEM, Connection
from eventlog.bridges.amqp.publishing import Publication, Publishing
from eventlog.bridges.amqp.queues import check_exchange, check_kind, have_queue
from eventlog.bridges.amqp.tables import AmqpFormatError
from eventlog.bridges.endpoints import Outcomes, Refusal, SinkContext
from eventlog.bridges.url import Url
from eventlog.errors import ConnectionLostError, EventLogError, InvalidArgumentError
from eventlog.records.record import Record, TopicPartition

_OPTIONS = {"queue", "exchange", "routing-key", *OPTIONS}
_ROUTING_KEY_BYTES_MAX = 255
_FRAME_OVERHEAD_BYTES = 20  # of a frame with the properties of a message


def make_sink(url: Url, context: SinkContext) -> RabbitSink:
    """The sink of an `amqp:` or `amqps:` URL. Raises `InvalidArgumentError`."""
    return RabbitSink(url, context)


class RabbitSink:
    """A queue, or an exchange, that takes records."""

    system = SYSTEM

    def __init__(self, url: Url, context: SinkContext) -> None:
        url.check_options(_OPTIONS)
        check_kind(context.create)
        self._queue = url.options.get("queue")
        self._exchange = url.options.get("exchange", "")
        routing_key = url.options.get("routing-key")
        if bool(self._queue) == bool(self._exchange) or (self._queue and routing_key is not None):
            raise InvalidArgumentError(f"{url} must have either queue=NAME, or exchange=NAME and perhaps routing-key=NAME")
        self._publishing = Publishing(context.origin, self._queue if self._queue else routing_key)
        self._context = context
        self._connection = Connection(url)
        self.label = self._connection.label
        self._last_tag = 0
        self._under_way: dict[int, Record] = {}
        self._returned: set[int] = set()
        self._confirmed: list[Record] = []
        self._refused: list[Refusal] = []
        # What earlier connections taught: which records end a channel, and why; and how many are to be sent alone to find one.
        self._poison: dict[tuple[str, int, int], str] = {}
        self._alone = 0
        self._problem: EventLogError | None = None

    def open(self) -> None:
        """Connect, and see that the queue or the exchange is there."""
        self._forget()
        connection = self._connection
        connection.open()
        if self._queue:
            have_queue(connection, self._queue, self._context.create)
        else:
            check_exchange(connection, self._exchange)
        connection.channel.add_on_return_callback(self._note_return)
        connection.call(connection.channel.confirm_delivery, self._note_outcome)

    def _forget(self) -> None:
        self._last_tag = 0
        self._problem = None
        for each in (self._under_way, self._returned, self._confirmed, self._refused):
            each.clear()

    def assign(self, partitions: Mapping[TopicPartition, int]) -> Mapping[TopicPartition, int]:
        """RabbitMQ does not know what it has of a partition."""
        return {}

    def revoke(self, partitions: Sequence[TopicPartition]) -> None:
        """Nothing can be taken back."""

    def room(self) -> int:
        """None while RabbitMQ says that it is short of memory or disk."""
        if self._connection.is_blocked:
            return 0
        if self._alone:
            return 0 if self._under_way else 1
        return self._context.window_records

    def send(self, records: Sequence[Record]) -> None:
        """Publish."""
        connection = self._connection
        connection.check()
        exchange, frame_bytes_max = self._exchange.encode(), connection.frame_bytes_max - _FRAME_OVERHEAD_BYTES
        with connection.gathering():
            for record in records:
                publication = self._publication(record, frame_bytes_max)
                if publication is not None:
                    routing_key, encoded, body = publication
                    connection.publish(exchange, routing_key, encoded, body)
                    self._last_tag += 1
                    self._under_way[self._last_tag] = record

    def _publication(self, record: Record, frame_bytes_max: int) -> Publication | None:
        try:
            publication = self._publishing.publication(record)
        except AmqpFormatError as error:
            self._refused.append(Refusal(record, str(error)))
            return None
        reason = self._why_not(record, publication, frame_bytes_max)
        if reason is None:
            return publication
        self._refused.append(Refusal(record, reason))
        return None

    def _why_not(self, record: Record, publication: Publication, frame_bytes_max: int) -> str | None:
        routing_key, encoded, _ = publication
        if len(routing_key) > _ROUTING_KEY_BYTES_MAX:
            return f"its routing key has more than {_ROUTING_KEY_BYTES_MAX} bytes"
        if len(encoded) > frame_bytes_max:
            return f"its properties and headers take {len(encoded)} bytes, and a frame has {frame_bytes_max}"
        return self._poison.pop(_identity(record), None) if self._poison else None

    def outcomes(self, timeout: float) -> Outcomes:
        """What was confirmed, or came back."""
        try:
            self._connection.attend(0 if self._confirmed or self._refused else timeout)
        except ConnectionLostError as error:
            self._learn(error)
        if self._problem is not None:
            raise self._problem
        outcomes = Outcomes(tuple(self._confirmed), tuple(self._refused))
        self._confirmed.clear()
        self._refused.clear()
        return outcomes

    def _note_outcome(self, frame: Any) -> None:
        method = frame.method
        if not isinstance(method, pika.spec.Basic.Ack):
            self._alone = max(self._alone, 1)
            self._problem = ConnectionLostError(
                f"{self.label}: RabbitMQ rejected a record for now: a queue is full (x-overflow), or has no leader"
            )
            return
        tag = method.delivery_tag
        for each in list(takewhile(tag.__ge__, self._under_way)) if method.multiple else (tag,):
            record = self._under_way.pop(each)
            if each in self._returned:
                self._returned.remove(each)
                self._refused.append(Refusal(record, f"no queue is bound for it: {self._route(record)}"))
            else:
                self._confirmed.append(record)
            self._alone = max(self._alone - 1, 0)

    def _route(self, record: Record) -> str:
        routing_key = self._publishing.publication(record).routing_key.decode("utf-8", "backslashreplace")
        return f"exchange {self._exchange!r}, routing key {routing_key!r}"

    def _note_return(self, _: object, method: Any, properties: Any, body: bytes) -> None:
        """Which record came back is told by its content, since RabbitMQ does not say: equal ones come back alike."""
        for tag, record in self._under_way.items():
            if tag not in self._returned and (record.value or b"") == body:
                publication = self._publishing.publication(record)
                if publication.routing_key == method.routing_key.encode() and publication.encoded == properties.raw:
                    self._returned.add(tag)
                    return
        self._problem = ConnectionLostError(f"{self.label}: a message came back that was not sent")

    def _learn(self, error: ConnectionLostError) -> NoReturn:
        """Find out which record has ended the channel, if one has, such as one that is too large: it must not end each channel
        that follows. RabbitMQ does not say which one it was, so those that may be it are sent alone."""
        cause = error.__cause__
        if isinstance(cause, pika.exceptions.ChannelClosed) and cause.reply_code == pika.spec.PRECONDITION_FAILED:
            if len(self._under_way) == 1:
                (record,) = self._under_way.values()
                self._poison[_identity(record)] = f"RabbitMQ refuses it: {cause.reply_text}"
            self._alone = max(self._alone, len(self._under_way))
        raise error

    def close(self) -> None:
        """Hang up."""
        self._connection.close()


def _identity(record: Record) -> tuple[str, int, int]:
    return record.topic, record.partition, record.offset
