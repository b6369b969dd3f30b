"""What a message of AMQP becomes in a topic.

The record has the properties as they came, in the header `amqp.properties`, and beside them in headers of their own, as people
and filters read them. So nothing is lost that this module does not understand."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from eventlog.bridges.amqp import properties, tables
from eventlog.bridges.amqp.tables import AmqpFormatError
from eventlog.bridges.message import KEY_HEADER, NULL_HEADER, TIMESTAMP_HEADER, Headers, Message, identity_of
from eventlog.errors import InvalidArgumentError

PROPERTIES_HEADER = "amqp.properties"
EXCHANGE_HEADER = "amqp.exchange"
ROUTING_KEY_HEADER = "amqp.routing-key"
REDELIVERED_HEADER = "amqp.redelivered"
_REDELIVERED: Headers = ((REDELIVERED_HEADER, b"true"),)
OWN_HEADERS = frozenset((PROPERTIES_HEADER, EXCHANGE_HEADER, ROUTING_KEY_HEADER, REDELIVERED_HEADER))
# What is on the way only: a persistent message is one that the topic has, too, and a login belongs to a connection.
_UNSEEN = frozenset(("headers", "delivery-mode", "timestamp", "user-id", "cluster-id"))
_RESERVED = ("eventlog.", "amqp.")
_TIMESTAMP_MAX = 2**63 - 1
_MILLISECONDS_HEADER = "timestamp_in_ms"  # as RabbitMQ's own plugin names it
_DELIVERY_COUNT = frozenset(("x-delivery-count",))  # differs each time that a quorum queue gives the message

Choose = Callable[["Delivery"], "bytes | None"]


class Delivery(NamedTuple):
    """A message as it came: where it was published, its encoded properties, and its body."""

    exchange: bytes
    routing_key: bytes
    is_redelivered: bool
    encoded: bytes
    body: bytes
    read: properties.Properties
    fields: dict[str, tables.Value]

    @classmethod
    def of(cls, exchange: bytes, routing_key: bytes, is_redelivered: bool, encoded: bytes, body: bytes) -> Delivery:
        """With the properties and headers that can be read: none, if they are damaged."""
        try:
            read = properties.parse(encoded)
            table = read.get("headers")
            fields = {field.name: field.value for field in tables.fields(table)} if isinstance(table, bytes) else {}
        except AmqpFormatError:
            read, fields = {}, {}
        return cls(exchange, routing_key, is_redelivered, encoded, body, read, fields)


class Reading:
    """How deliveries are read: where their keys are found, and what tells them apart."""

    def __init__(self, key: str | None, identity: str | None) -> None:
        """`key` and `identity` as `SourceContext` has them. Raises `InvalidArgumentError`."""
        self._key = _chooser("key", key, ("routing-key", "message-id", "correlation-id"))
        self._id = _chooser("identity", None if identity in ("content", "none") else identity or "message-id", ("message-id",))
        self._by_content = identity == "content"

    def message(self, delivery: Delivery, token: object) -> Message:
        """The message, which may become a record."""
        fields = delivery.fields
        identity, is_unique = self._identity(delivery)
        key = _bytes(fields.get(KEY_HEADER)) if KEY_HEADER in fields or self._key is None else self._key(delivery)
        return Message(
            value=None if NULL_HEADER in fields and not delivery.body else delivery.body,
            key=key,
            headers=headers_of(delivery),
            timestamp=_timestamp(delivery),
            identity=identity,
            is_unique=is_unique,
            is_redelivered=delivery.is_redelivered,
            token=token,
        )

    def _identity(self, delivery: Delivery) -> tuple[bytes | None, bool]:
        """An id is the sender's, who may use it again for something else: it counts together with the body.

        Without one a message is recognised only if that is wanted: an equal message could be taken for it, and be lost."""
        own = self._id(delivery) if self._id is not None else None
        if own is not None:
            return identity_of(own, delivery.body), True
        if not self._by_content:
            return None, False
        content = delivery.encoded if "x-delivery-count" not in delivery.fields else _without_count(delivery)
        return identity_of(delivery.exchange, delivery.routing_key, content, delivery.body), False


def _chooser(option: str, name: str | None, known: tuple[str, ...]) -> Choose | None:
    if name is None:
        return None
    if name == "routing-key" and name in known:
        return lambda delivery: delivery.routing_key
    if name in known:
        return lambda delivery: _bytes(delivery.read.get(name))
    kind, _, header = name.partition(":")
    if kind != "header" or not header:
        raise InvalidArgumentError(f"{option} must be one of {', '.join(known)}, or header:NAME, not {name!r}")
    return lambda delivery: tables.readable(delivery.fields.get(header))


def _bytes(value: tables.Value) -> bytes | None:
    return value if isinstance(value, bytes) else None


def _without_count(delivery: Delivery) -> bytes:
    table = delivery.read["headers"]
    assert isinstance(table, bytes)
    return properties.build({**delivery.read, "headers": tables.without(table, _DELIVERY_COUNT)})


def headers_of(delivery: Delivery) -> Headers:
    """The headers of the record: what came, bit for bit, and what of it can be read."""
    return (
        (PROPERTIES_HEADER, delivery.encoded),
        (EXCHANGE_HEADER, delivery.exchange),
        (ROUTING_KEY_HEADER, delivery.routing_key),
        *(_REDELIVERED if delivery.is_redelivered else ()),
        *readable_headers(delivery.read, delivery.fields),
    )


def readable_headers(read: properties.Properties, fields: dict[str, tables.Value]) -> Iterator[tuple[str, bytes | None]]:
    """Properties and headers as text. A list of texts is a header that repeats."""
    for name, value in read.items():
        if name not in _UNSEEN:
            yield name, value if isinstance(value, bytes) else b"%d" % value
    for name, field in fields.items():
        if name.startswith(_RESERVED):
            continue
        if isinstance(field, list) and field and all(item is None or isinstance(item, bytes) for item in field):
            for item in field:
                yield name, _bytes(item)
        else:
            yield name, tables.readable(field)


def _timestamp(delivery: Delivery) -> int | None:
    """In milliseconds, if the message says so somewhere; the property has seconds."""
    exact = delivery.fields.get(TIMESTAMP_HEADER)
    if isinstance(exact, bytes) and exact.isdigit() and len(exact) <= len(str(_TIMESTAMP_MAX)):
        exact = int(exact)
    if not isinstance(exact, int):
        exact = delivery.fields.get(_MILLISECONDS_HEADER)
    if not isinstance(exact, int):
        seconds = delivery.read.get("timestamp")
        exact = seconds * 1000 if isinstance(seconds, int) else None
    return exact if exact is not None and 0 <= exact <= _TIMESTAMP_MAX else None
