"""Which headers of a STOMP message stand for what of a record.

A message's headers are text, each name once, in no order that a server preserves. What they cannot carry of a record's own
headers is in `eventlog.headers`, as JSON, beside readable ones for other programs. A record that was collected has the
message's header lines as they came in `stomp.frame`, beside readable ones; and goes out with the same lines again."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from typing import Any, NamedTuple

from eventlog.bridges.message import KEY_HEADER, NULL_HEADER, Headers, Properties, headers_of, properties_of
from eventlog.bridges.stomp.frames import Frame, FrameError, encode_headers, parse_headers
from eventlog.records.record import Record

FRAME_HEADER = "stomp.frame"
DESTINATION_HEADER = "stomp.destination"
HEADERS_HEADER = "eventlog.headers"
BINARY_KEY_HEADER = "eventlog.key.base64"
REPLY_HEADER = "eventlog.reply-to"
ID_HEADER = "eventlog-id"
GROUP_HEADER = "JMSXGroupID"
ARTEMIS_GROUP_HEADER = "_AMQ_GROUP_ID"
DUPLICATE_ID_HEADER = "_AMQ_DUPL_ID"  # by which Artemis recognises what it has already
DEFAULT_PRIORITY = 4

# Headers by which a server does something. The first ones are said anew with each SEND, or set by the server.
_OF_ONE_FRAME = frozenset(
    (
        "destination", "destination-type", "subscription-type", "subscription", "id", "ack", "message-id", "receipt",
        "transaction", "redelivered", "content-length", "persistent", "transformation", "transformation-error", "amq-msg-type",
        DUPLICATE_ID_HEADER,
    )
)  # fmt: skip
_RESERVED = _OF_ONE_FRAME | {"timestamp", "expires", "priority", "reply-to", ID_HEADER}
_RESERVED_PREFIXES = ("eventlog.", "stomp.", "JMSX", "_AMQ_", "_HQ_")
_REPLIES = ("/queue/", "/topic/")  # other texts in reply-to are refused by a server


class Outgoing(NamedTuple):
    """A message to be sent: its header lines, encoded, and its body, as text if it `is_text`."""

    head: bytes
    body: bytes
    is_text: bool = False


def outgoing(record: Record, message_id: str, *, is_grouped: bool = False) -> Outgoing:
    """The message for a record, without the headers that the server needs. `message_id` names it unless it has an id of its
    own. If it `is_grouped`, messages of one key go to one consumer.

    Raises `InvalidArgumentError` if there is none."""
    again = _as_it_came(record) if record.headers else None
    if again is not None:
        return again
    headers = [("timestamp", str(record.timestamp))] if record.timestamp >= 0 else []
    if record.key is not None:
        headers += _key_headers(record.key, is_grouped)
    if record.value is None:
        headers.append((NULL_HEADER, "true"))
    own_id = None
    if record.headers:
        properties, others = properties_of(record.headers)
        own_id = properties.message_id
        headers += _property_headers(properties, record.timestamp)
        headers += _readable(others)
        if not _is_told_by(record.headers, others):
            headers.append((HEADERS_HEADER, _all_as_text(record.headers)))
    headers.append((ID_HEADER, own_id or message_id))
    return Outgoing(encode_headers(headers), record.value or b"")


def _as_it_came(record: Record) -> Outgoing | None:
    """The message that a record was collected from, if it was collected from one."""
    head = next((value for name, value in record.headers if name == FRAME_HEADER), None)
    if head is None or record.value is None or b"\r" in head:
        return None
    try:
        parse_headers(head)
    except FrameError:
        return None
    has_length = b"content-length:" in head or b"\0" in record.value
    return Outgoing(lines_to_send(head), record.value, is_text=not has_length)


def lines_to_send(head: bytes) -> bytes:
    """The header lines of a message that came, without those that are of one delivery only, each with its line end."""
    lines = [(line, line.partition(b":")[0].decode()) for line in head.split(b"\n") if line]
    # Artemis puts its own time before the sender's.
    times = [line for line, name in lines if name == "timestamp"]
    sent = [line for line, name in lines if name not in _OF_ONE_FRAME and (name != "timestamp" or line is times[-1])]
    return b"".join(line + b"\n" for line in sent)


def _key_headers(key: bytes, is_grouped: bool) -> Iterable[tuple[str, str]]:
    text = _text_of(key)
    if text is None:
        yield BINARY_KEY_HEADER, base64.b64encode(key).decode()
        return
    yield KEY_HEADER, text
    if is_grouped and text:
        yield GROUP_HEADER, text


def _property_headers(properties: Properties, timestamp: int) -> Iterable[tuple[str, str]]:
    for name, value in headers_of(properties._replace(message_id=None, reply_to=None, expiration=None)):
        yield name, (value or b"").decode()
    if properties.reply_to is not None:
        yield "reply-to" if properties.reply_to.startswith(_REPLIES) else REPLY_HEADER, properties.reply_to
    if properties.expiration is not None:
        yield "expires", str(max(timestamp, 0) + properties.expiration)


def _readable(headers: Headers) -> Iterable[tuple[str, str]]:
    seen: set[str] = set()
    for name, value in headers:
        text = None if value is None else _text_of(value)
        if text is not None and name not in seen and is_ordinary(name):
            seen.add(name)
            yield name, text


def is_ordinary(name: str) -> bool:
    """Is this the name of a header that no server gives a meaning to, nor this package?"""
    return bool(name) and name not in _RESERVED and not name.startswith(_RESERVED_PREFIXES)


def _is_told_by(headers: Headers, others: Headers) -> bool:
    """Do the readable headers of a message tell all of a record's?"""
    return len(headers) == len(others) == len(list(_readable(others))) == 1


def _all_as_text(headers: Headers) -> str:
    return json.dumps([[name, _as_json(value)] for name, value in headers], separators=(",", ":"))


def _as_json(value: bytes | None) -> Any:
    """Null, text, or a list with the base64 of bytes that are not text."""
    if value is None:
        return None
    text = _text_of(value)
    return [base64.b64encode(value).decode()] if text is None else text


def _from_text(text: str) -> Headers | None:
    """What `_all_as_text` made a text of; None if it was not that."""
    try:
        return tuple((_name(name), _from_json(value)) for name, value in json.loads(text))
    except (ValueError, TypeError, AttributeError, RecursionError):
        return None


def _name(name: Any) -> str:
    name.encode()
    return str(name)


def _from_json(value: Any) -> bytes | None:
    if value is None:
        return None
    if isinstance(value, str):
        return value.encode()
    (encoded,) = value
    return base64.b64decode(encoded, validate=True)


def _text_of(value: bytes) -> str | None:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return None


class Incoming(NamedTuple):
    """The headers of a message that came, by name: the `first` of each name, which is the server's, and the `last`."""

    frame: Frame
    first: dict[str, str]
    last: dict[str, str]

    @classmethod
    def of(cls, frame: Frame) -> Incoming:
        """Raises `FrameError`."""
        headers = frame.headers()
        return cls(frame, dict(reversed(headers)), dict(headers))

    @property
    def value(self) -> bytes | None:
        """The record's value."""
        return None if NULL_HEADER in self.first and not self.frame.body else self.frame.body

    @property
    def timestamp(self) -> int | None:
        """The sender's, in milliseconds; Artemis puts its own before that one."""
        return _number(self.last.get("timestamp"))

    @property
    def key(self) -> bytes | None:
        """The key of the record that was sent, or the group that the message belongs to."""
        binary = self.first.get(BINARY_KEY_HEADER)
        if binary is not None:
            try:
                return base64.b64decode(binary, validate=True)
            except ValueError:
                return binary.encode()
        names = (KEY_HEADER, GROUP_HEADER, ARTEMIS_GROUP_HEADER)
        return next((self.first[name].encode() for name in names if name in self.first), None)

    def record_headers(self, message_id: str) -> Headers:
        """The headers of the record. `message_id` is the server's id."""
        is_shipped = ID_HEADER in self.first
        told = _from_text(self.first[HEADERS_HEADER]) if HEADERS_HEADER in self.first else None
        if told is None:
            properties = Properties() if is_shipped else self._properties(message_id)
            readable = headers_of(properties)
            names = {name for name, _ in readable}
            others = ((name, value.encode()) for name, value in self.first.items() if name not in names and is_ordinary(name))
            told = (*readable, *others)
        came_from = self.first.get("destination", "").encode()
        return (*told, (DESTINATION_HEADER, came_from), (FRAME_HEADER, self.frame.head))

    def _properties(self, message_id: str) -> Properties:
        first = self.first
        priority, expires, timestamp = _number(first.get("priority")), _number(first.get("expires")), self.timestamp
        return Properties(
            message_id=message_id,
            content_type=first.get("content-type"),
            content_encoding=first.get("content-encoding"),
            correlation_id=first.get("correlation-id"),
            reply_to=first.get("reply-to", first.get(REPLY_HEADER)),
            type=first.get("type"),
            app_id=first.get("app-id"),
            priority=None if priority in (None, DEFAULT_PRIORITY) or priority > 9 else priority,
            expiration=expires - timestamp if expires and timestamp is not None and expires >= timestamp else None,
        )


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 19 else None


