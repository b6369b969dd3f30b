"""Messages of ActiveMQ, acknowledged once the topic has them.

An ACK covers all messages before it. One that the server has not read when the connection ends is lost, and the messages come
again: so `close` waits for the receipt of a DISCONNECT. Classic gives a subscriber no more than 200 messages that are not
acknowledged, so fewer are received at once."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from time import monotonic
from typing import NamedTuple

from eventlog.bridges.endpoints import SourceContext
from eventlog.bridges.message import Message, identity_of
from eventlog.bridges.stomp.connection import Connection, ErrorFrameError
from eventlog.bridges.stomp.destination import destination_of
from eventlog.bridges.stomp.frames import Frame, FrameError, encode_headers
from eventlog.bridges.stomp.mapping import Incoming, lines_to_send
from eventlog.bridges.url import Url
from eventlog.errors import BridgeError, ConnectionLostError, InvalidArgumentError

_CLASSIC_RECEIVE_MAX = 100
_CLASSIC_PREFETCH = 1000
_ARTEMIS_WINDOW_BYTES = 1024 * 1024
_ACKNOWLEDGED_MAX = 64  # messages for which the ACK has not been sent
_ANSWER_SECONDS_MAX = 8.0
_CLOSE_SECONDS_MAX = 4.0
_SUBSCRIPTION = "0"
_REASON_HEADER = "eventlog.reason"
# What may differ when a message is given again.
_OF_ONE_DELIVERY = ("ack:", "subscription:", "message-id:", "redelivered:")


def make_source(url: Url, context: SourceContext) -> StompSource:
    """The source of a `stomp:` or `stomps:` URL. Raises `InvalidArgumentError`."""
    return StompSource(url, context)


class _Token(NamedTuple):
    """How a message is acknowledged, and on which connection; and the message."""

    connection: Connection
    ack: str
    frame: Frame


class StompSource:
    """A queue, or a durable subscription to a topic, of ActiveMQ Classic or Artemis; a `Source`."""

    def __init__(self, url: Url, context: SourceContext) -> None:
        self.label = str(url)
        self.system = "activemq"
        self._subscription_name = url.options.get("subscription")
        self._destination = destination_of(
            url, create=context.create, options={"subscription", "dead-letter"}, client_id=self._subscription_name
        )
        if self._destination.is_queue != (self._subscription_name is None):
            raise InvalidArgumentError(
                f"{url} must have the option subscription=NAME, a durable subscription, if it is a topic, because messages "
                "would be lost otherwise while nobody is there; and must not have it if it is a queue"
            )
        self._dead_letters = url.options.get("dead-letter")
        self._key_of = _key_rule(context.key)
        self._identity_of = _identity_rule(context.identity)
        self._count_max = context.window_records
        self._connection: Connection | None = None
        self._received: deque[Frame] = deque()
        self._receipts = itertools.count(1)
        self._awaited: str | None = None  # the receipt that was asked for
        self._acknowledged: _Token | None = None  # the last message, if an ACK for it has to be sent
        self._acknowledged_count = 0

    def open(self) -> None:
        """Connect, log in and subscribe."""
        self._connection = connection = self._destination.connect()
        self.system = "artemis" if connection.is_artemis else "activemq"
        connection.send("SUBSCRIBE", [*self._subscription(connection), ("receipt", self._new_receipt())])
        self._wait_for_answer(_ANSWER_SECONDS_MAX)

    def receive(self, timeout: float, count_max: int) -> Sequence[Message]:
        """Fewer at once from Classic, which otherwise waits for acknowledgements before it gives any more."""
        connection = self._open_connection
        count_max = min(count_max, self._count_max)
        if not connection.is_artemis:
            count_max = min(count_max, _CLASSIC_RECEIVE_MAX)
        deadline = monotonic() + timeout
        if len(self._received) < count_max:
            self._exchange(0)
        if not self._received:
            self._send_acknowledgement()
        while not self._received and (seconds := deadline - monotonic()) > 0:
            self._exchange(seconds)  # which also ends when a receipt comes
        return [self._message(self._received.popleft(), connection) for _ in range(min(count_max, len(self._received)))]

    def acknowledge(self, messages: Sequence[Message]) -> None:
        """An ACK for the last of them is sent once there are enough, or nothing else is to be done."""
        connection = self._open_connection
        token = messages[-1].token if messages else None
        if not isinstance(token, _Token) or token.connection is not connection:
            return  # they will be given again
        self._acknowledged, self._acknowledged_count = token, self._acknowledged_count + len(messages)
        if self._acknowledged_count >= _ACKNOWLEDGED_MAX:
            self._send_acknowledgement()

    def refuse(self, message: Message, reason: str) -> None:
        """Sends it to the dead-letter queue, with the reason in the header `eventlog.reason`; it is acknowledged like others.

        Not by a NACK: Artemis throws away what is refused so."""
        connection = self._open_connection
        token = message.token
        if not isinstance(token, _Token) or token.connection is not connection:
            return
        name = self._dead_letters or ("DLQ" if connection.is_artemis else "ActiveMQ.DLQ")
        queue = self._destination._replace(name=name, is_queue=True)
        headers = [*queue.headers(connection, "destination-type"), ("persistent", "true"), (_REASON_HEADER, reason)]
        receipt = self._new_receipt()
        head = encode_headers([*headers, ("receipt", receipt)]) + lines_to_send(token.frame.head)
        connection.send_raw("SEND", head, token.frame.body)
        try:
            self._wait_for_answer(_ANSWER_SECONDS_MAX)
        except ErrorFrameError as error:
            raise BridgeError(f"a message that was refused cannot be sent to {queue.path}: {error}") from error

    def depth(self) -> int | None:
        """Not known: STOMP has no way to ask."""
        return None

    def close(self) -> None:
        """Disconnect once the server has read the acknowledgements."""
        connection = self._connection
        if connection is None:
            return
        with suppress(ConnectionLostError, BridgeError):
            self._send_acknowledgement()
            connection.send("DISCONNECT", [("receipt", self._new_receipt())])
            self._wait_for_answer(_CLOSE_SECONDS_MAX)
        connection.close()
        self._connection = self._acknowledged = self._awaited = None
        self._acknowledged_count = 0
        self._received.clear()

    @property
    def _open_connection(self) -> Connection:
        if self._connection is None:
            raise ConnectionLostError(f"{self.label} is not connected")
        return self._connection

    def _subscription(self, connection: Connection) -> list[tuple[str, str]]:
        headers = [("id", _SUBSCRIPTION), ("ack", "client"), *self._destination.headers(connection, "subscription-type")]
        if connection.is_artemis:
            headers.append(("consumer-window-size", str(_ARTEMIS_WINDOW_BYTES)))
            name_header = "durable-subscription-name"
        else:
            headers.append(("activemq.prefetchSize", str(min(_CLASSIC_PREFETCH, self._count_max))))
            name_header = "activemq.subscriptionName"
        if self._subscription_name is not None:
            headers.append((name_header, self._subscription_name))
        return headers

    def _send_acknowledgement(self) -> None:
        if self._acknowledged is not None:
            self._open_connection.send("ACK", [("id", self._acknowledged.ack)])
            self._acknowledged, self._acknowledged_count = None, 0

    def _new_receipt(self) -> str:
        self._awaited = str(next(self._receipts))
        return self._awaited

    def _exchange(self, timeout: float) -> None:
        for frame in self._open_connection.exchange(timeout):
            if frame.command == "MESSAGE":
                self._received.append(frame)
            elif frame.command == "RECEIPT" and frame.header("receipt-id") == self._awaited:
                self._awaited = None

    def _wait_for_answer(self, seconds_max: float) -> None:
        """Wait for the receipt that was asked for last."""
        deadline = monotonic() + seconds_max
        while self._awaited is not None:
            seconds = deadline - monotonic()
            if seconds <= 0:
                raise ConnectionLostError(f"{self.label} does not answer in time")
            self._exchange(seconds)

    def _message(self, frame: Frame, connection: Connection) -> Message:
        incoming = Incoming.of(frame)
        message_id, ack = incoming.first.get("message-id"), incoming.first.get("ack")
        if message_id is None or ack is None:
            raise FrameError(f"{self.label} has sent a message without message-id or ack")
        if connection.is_artemis:
            # The part before the comma is the consumer, another one each time.
            message_id = message_id.partition(",")[2] or message_id
        identity, is_unique = self._identity_of(incoming, message_id)
        return Message(
            incoming.value,
            self._key_of(incoming, message_id),
            incoming.record_headers(message_id),
            incoming.timestamp,
            identity,
            is_unique,
            incoming.first.get("redelivered") == "true",
            token=_Token(connection, ack, frame),
        )


def _key_rule(rule: str | None) -> Callable[[Incoming, str], bytes | None]:
    if rule is None:
        return lambda incoming, message_id: incoming.key
    if rule == "message-id":
        return lambda incoming, message_id: message_id.encode()
    name = {"routing-key": "destination", "correlation-id": "correlation-id"}.get(rule, rule.removeprefix("header:"))
    return lambda incoming, message_id: None if name not in incoming.first else incoming.first[name].encode()


def _identity_rule(rule: str | None) -> Callable[[Incoming, str], tuple[bytes | None, bool]]:
    if rule == "none":
        return lambda incoming, message_id: (None, True)
    if rule == "content":
        return lambda incoming, message_id: (_content_identity(incoming), False)
    if rule is not None and rule.startswith("header:"):
        name = rule.removeprefix("header:")
        return lambda incoming, message_id: (
            (identity_of(incoming.first[name].encode()), True)
            if name in incoming.first
            else (_message_identity(incoming, message_id), True)
        )
    return lambda incoming, message_id: (_message_identity(incoming, message_id), True)


def _message_identity(incoming: Incoming, message_id: str) -> bytes:
    """Artemis counts from the beginning again if its data is deleted; then the time differs, which it sets itself."""
    said = (incoming.first.get(name, "").encode() for name in ("destination", "timestamp"))
    return identity_of(message_id.encode(), *said)


def _content_identity(incoming: Incoming) -> bytes:
    lines = incoming.frame.head.split(b"\n")
    lasting = sorted(line for line in lines if not line.startswith(tuple(each.encode() for each in _OF_ONE_DELIVERY)))
    return identity_of(*lasting, incoming.frame.body)
