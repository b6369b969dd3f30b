"""What a record becomes in AMQP: encoded properties and a body.

A record that came from AMQP goes back as it came, bit for bit, with what was added to it since. What cannot be sent as it came
is left out: the login of another connection, further addresses, and a time to live that RabbitMQ would refuse."""

from __future__ import annotations

import struct
from collections import Counter
from typing import NamedTuple

from eventlog.bridges.amqp import properties, tables
from eventlog.bridges.amqp.deliveries import OWN_HEADERS, PROPERTIES_HEADER, ROUTING_KEY_HEADER, readable_headers
from eventlog.bridges.message import (
    KEY_HEADER,
    NULL_HEADER,
    TIMESTAMP_HEADER,
    Headers,
    Origin,
    headers_of,
    identity_of,
    properties_of,
    without_bookkeeping,
)
from eventlog.records.record import Record

_PERSISTENT = 2
_SHORT_BYTES_MAX = 255
_EXPIRATION_MAX = 2**32 - 1
_BRIDGES_OWN = frozenset((KEY_HEADER, NULL_HEADER, TIMESTAMP_HEADER))
_ADDRESSES = frozenset(("CC", "BCC"))  # the message would be routed again


class Publication(NamedTuple):
    """A message that can be published."""

    routing_key: bytes
    encoded: bytes
    body: bytes


class Publishing:
    """How records are published."""

    def __init__(self, origin: Origin, routing_key: str | None) -> None:
        """With the routing key for all; None: the one that a record came with, else its key."""
        self._origin = origin
        self._routing_key = None if routing_key is None else routing_key.encode()

    def publication(self, record: Record) -> Publication:
        """The message of a record. Raises `AmqpFormatError` if AMQP has none for it."""
        routing_key = self._routing_key if self._routing_key is not None else _routing_key(record)
        came_with = next((value for name, value in record.headers if name == PROPERTIES_HEADER), None)
        encoded = self._made(record) if came_with is None else _as_it_came(record, came_with)
        return Publication(routing_key, encoded, record.value or b"")

    def _made(self, record: Record) -> bytes:
        own_id = self._origin.message_id(record).encode()
        if len(own_id) > _SHORT_BYTES_MAX:
            own_id = identity_of(own_id).hex().encode()
        named: dict[str, list[bytes | None]] = {}
        if record.key is not None:
            named[KEY_HEADER] = [record.key]
        if record.value is None:
            named[NULL_HEADER] = [b"true"]
        time = b"%d" % record.timestamp
        if not record.headers:
            return _quickly_built(own_id, record.timestamp // 1000, time, tables.encode(named) if named else b"")
        fields: dict[str, bytes | int] = {
            "delivery-mode": _PERSISTENT,
            "message-id": own_id,
            "timestamp": record.timestamp // 1000,
        }
        named = {TIMESTAMP_HEADER: [time], **named}
        _add_headers(record.headers, fields, named)
        return properties.build({**fields, "headers": tables.encode(named)})


_PLAIN: properties.Properties = {"headers": b"", "delivery-mode": _PERSISTENT, "message-id": b"", "timestamp": 0}
_PLAIN_FLAGS = properties.build(_PLAIN)[:2]
_TIME_FIELD = tables.encode({TIMESTAMP_HEADER: [b""]})[:-4]
_TABLE_AND_TEXT = struct.Struct(f">I{len(_TIME_FIELD)}sI")
_SECONDS = struct.Struct(">Q")


def _quickly_built(own_id: bytes, seconds: int, time: bytes, table: bytes) -> bytes:
    """What `properties.build` makes of a record without headers; `table` is what follows the timestamp in the headers."""
    table_bytes = len(_TIME_FIELD) + 4 + len(time) + len(table)
    started = _TABLE_AND_TEXT.pack(table_bytes, _TIME_FIELD, len(time))
    return b"%b%b%b%b\x02%c%b%b" % (_PLAIN_FLAGS, started, time, table, len(own_id), own_id, _SECONDS.pack(seconds))


def _add_headers(
    headers: Headers, fields: dict[str, bytes | int], named: dict[str, list[bytes | None]]
) -> None:
    read, others = properties_of(headers)
    for name, value in headers_of(read):
        text = value or b""
        if len(text) > _SHORT_BYTES_MAX or (name == "expiration" and not _is_expiration(text)):
            named.setdefault(name, []).append(text)
        else:
            fields[name] = int(text) if name == "priority" else text
    for name, value in others:
        if name not in _BRIDGES_OWN:
            named.setdefault(name, []).append(value)


def _routing_key(record: Record) -> bytes:
    return next((value for name, value in record.headers if name == ROUTING_KEY_HEADER), record.key) or b""


def _as_it_came(record: Record, encoded: bytes) -> bytes:
    read = properties.parse(encoded)
    table = read.get("headers", b"")
    assert isinstance(table, bytes)
    fields = {field.name: field.value for field in tables.fields(table)}
    added = _added(record, read, fields)
    expiration = read.get("expiration")
    is_refused = isinstance(expiration, bytes) and not _is_expiration(expiration)
    if not added and not is_refused and "user-id" not in read and _ADDRESSES.isdisjoint(fields):
        return encoded
    sent = {name: value for name, value in read.items() if name != "user-id" and not (is_refused and name == "expiration")}
    table = tables.without(table, _ADDRESSES | added.keys()) + tables.encode(added)
    return properties.build({**sent, "headers": table} if table or "headers" in sent else sent)


def _added(record: Record, read: properties.Properties, fields: dict[str, tables.Value]) -> dict[str, list[bytes | None]]:
    """What the record has beyond what came with it."""
    came_with = list(readable_headers(read, fields))
    has_now = [header for header in without_bookkeeping(record.headers) if header[0] not in OWN_HEADERS]
    named: dict[str, list[bytes | None]] = {}
    if has_now != came_with:
        for (name, value), count in (Counter(has_now) - Counter(came_with)).items():
            named.setdefault(name, []).extend([value] * count)
    if record.value is None and NULL_HEADER not in fields:
        named[NULL_HEADER] = [b"true"]
    if record.key is not None:
        known = {value for _, value in came_with} | {value for name, value in record.headers if name == ROUTING_KEY_HEADER}
        if record.key not in known and fields.get(KEY_HEADER) != record.key:
            named[KEY_HEADER] = [record.key]
    return named


def _is_expiration(text: bytes) -> bool:
    return text.isdigit() and len(text) <= len(str(_EXPIRATION_MAX)) and int(text) <= _EXPIRATION_MAX
