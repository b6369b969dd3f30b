"""What a message is, whichever system it comes from or goes to, and which headers of a record stand for what.

A record's key, value, timestamp and headers carry everything that a message of another system has. Properties that most systems
have in common stand in headers of one name for all (`Properties`), as text. A system's own header carries what would otherwise
be lost, such as `amqp.properties`. Headers that begin with `eventlog.` are the bridges' own:

    eventlog.id         16 bytes: the identity of the message that a record was collected from
    eventlog.source     where a record was collected from, if its source has positions, and
    eventlog.offset     its position there, as decimal text
    eventlog.key        in another system, which has no keys: the record's key
    eventlog.timestamp  in another system: the record's timestamp in milliseconds, as decimal text
    eventlog.null       in another system: the record's value is null
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable
from typing import NamedTuple

from eventlog.records.record import Record

Headers = tuple[tuple[str, bytes | None], ...]

IDENTITY_HEADER = "eventlog.id"
SOURCE_HEADER = "eventlog.source"
OFFSET_HEADER = "eventlog.offset"
KEY_HEADER = "eventlog.key"
TIMESTAMP_HEADER = "eventlog.timestamp"
NULL_HEADER = "eventlog.null"

IDENTITY_BYTES = 16
_BOOKKEEPING = frozenset((IDENTITY_HEADER, SOURCE_HEADER, OFFSET_HEADER))
_LENGTH = struct.Struct(">q")


class Position(NamedTuple):
    """Where a message stands in a source that has positions: the `source`, such as "kafka:CLUSTER/orders/0", in which offsets
    rise, though not always by one, and the `offset` there."""

    source: str
    offset: int


class Message(NamedTuple):
    """A message that a source has received, as it will be appended.

    `headers` are those of the record, without the bridges' own. `timestamp` is in milliseconds since the epoch; None means now.

    A message is recognised, if it comes again, by its `position`; else by its `identity`, `IDENTITY_BYTES` from `identity_of`.
    If the identity `is_unique`, made of an id that the system or the sender gave this message alone, it decides. Otherwise it
    is made of the content, and equal messages are told apart by `is_redelivered` and their number. Without both it may be
    appended twice.

    `partition` is the partition of the source, whose number the topic's partition should have; None: that of the key, else of
    the identity. `token` is the source's own, for the acknowledgement."""

    value: bytes | None
    key: bytes | None = None
    headers: Headers = ()
    timestamp: int | None = None
    identity: bytes | None = None
    is_unique: bool = True
    is_redelivered: bool = False
    position: Position | None = None
    partition: int | None = None
    token: object = None


class Properties(NamedTuple):
    """Properties that several systems have, by the names that the record's headers have, with - for _.

    `priority` is from 0 to 9; `expiration` is the time to live in milliseconds, counted from the record's timestamp."""

    message_id: str | None = None
    content_type: str | None = None
    content_encoding: str | None = None
    correlation_id: str | None = None
    reply_to: str | None = None
    type: str | None = None
    app_id: str | None = None
    priority: int | None = None
    expiration: int | None = None


_NAMES = {field.replace("_", "-"): field for field in Properties._fields}
_NUMBERS = frozenset(("priority", "expiration"))


def identity_of(*contents: bytes | None) -> bytes:
    """The identity of a message that is determined by these: BLAKE2b of them and their lengths, so that no two lists of
    contents have the same."""
    pieces: list[bytes] = []
    for content in contents:
        pieces += _LENGTH.pack(-1 if content is None else len(content)), content or b""
    return hashlib.blake2b(b"".join(pieces), digest_size=IDENTITY_BYTES).digest()


def headers_of(properties: Properties) -> Headers:
    """The headers of a record that stand for these properties; none for those that are None."""
    given = zip(_NAMES, properties, strict=True)
    return tuple((name, str(value).encode()) for name, value in given if value is not None)


def properties_of(headers: Iterable[tuple[str, bytes | None]]) -> tuple[Properties, Headers]:
    """The properties that stand in a record's headers, and the other headers, without the bridges' bookkeeping.

    A header that has the name of a property, but not a value that one can have, or that is there twice, is one of the
    others."""
    found: dict[str, str | int] = {}
    others = []
    for name, value in headers:
        field = _NAMES.get(name)
        read = None if field is None or field in found else _read(field, value)
        if field is not None and read is not None:
            found[field] = read
        elif name not in _BOOKKEEPING:
            others.append((name, value))
    return Properties(**found), tuple(others)  # type: ignore[arg-type]


def _read(field: str, value: bytes | None) -> str | int | None:
    if value is None:
        return None
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return None
    if field not in _NUMBERS:
        return text
    is_number = text.isascii() and text.isdigit() and len(text) < 16 and str(int(text)) == text
    return int(text) if is_number and (field != "priority" or int(text) <= 9) else None


def without_bookkeeping(headers: Headers) -> Headers:
    """The headers without those in which a collecting bridge noted where the record came from."""
    if any(name in _BOOKKEEPING for name, _ in headers):
        return tuple(header for header in headers if header[0] not in _BOOKKEEPING)
    return headers


def record_headers(message: Message) -> Headers:
    """The headers of the record for a message: its own, and how it is recognised if it comes again."""
    if message.position is not None:
        source, offset = message.position
        return (*message.headers, (SOURCE_HEADER, source.encode()), (OFFSET_HEADER, b"%d" % offset))
    if message.identity is not None:
        return (*message.headers, (IDENTITY_HEADER, message.identity))
    return message.headers


class Origin(NamedTuple):
    """Where the records of a ship come from. `id` names this topic among all topics of all stores: it stays the same when the
    store is moved, and differs once the topic is deleted and created again. `group` is the bridge's consumer group."""

    id: str
    topic: str
    group: str

    def message_id(self, record: Record) -> str:
        """An id for a record that carries none of its own: the same whenever and by whomever it is sent."""
        return f"{self.id}/{record.topic}/{record.partition}/{record.offset}"

    def source(self, partition: int) -> str:
        """The name of a partition as a source of positions."""
        return f"eventlog:{self.id}/{self.topic}/{partition}"
