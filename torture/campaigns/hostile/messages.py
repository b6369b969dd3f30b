"""Targets of fuzzing: what another system's server may send to a bridge. It becomes a record, and a message again."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Iterator

import atheris

with atheris.instrument_imports(include=["eventlog"]):
    from eventlog.bridges.amqp import properties, tables
    from eventlog.bridges.amqp.deliveries import Delivery, Reading
    from eventlog.bridges.amqp.publishing import Publishing
    from eventlog.bridges.amqp.tables import AmqpFormatError
    from eventlog.bridges.message import Message, Origin, record_headers
    from eventlog.bridges.stomp.frames import Frame, FrameError, Parser
    from eventlog.bridges.stomp.mapping import Incoming, lines_to_send, outgoing
    from eventlog.errors import InvalidArgumentError
    from eventlog.records.record import Record

_ORIGIN = Origin("id", "events", "group")
_HELD_BYTES_MAX = 1024
_LINE_ENDS = b"\n\r\n"
_READINGS = (
    Reading(None, None), Reading("header:a", "content"), Reading("message-id", "header:a"), Reading("routing-key", "none"),
)  # fmt: skip


def _record(message: Message) -> Record:
    """The record that is appended for a message: its headers can be written."""
    headers = record_headers(message)
    for name, _ in headers:
        name.encode()
    assert message.timestamp is None or 0 <= message.timestamp < 2**63
    return Record("events", 0, 0, message.timestamp or 0, message.key, message.value, headers)


def stomp_frames(data: bytes) -> None:
    """Frames in chunks of any size, each of which may be a message."""
    if not data:
        return
    parser = Parser(head_bytes_max=_HELD_BYTES_MAX, body_bytes_max=_HELD_BYTES_MAX)
    size, content = data[0] % 64 + 1, data[1:]
    with contextlib.suppress(FrameError):
        for start in range(0, len(content), size):
            for frame in parser.feed(content[start : start + size]):
                _take(frame)
            assert parser.held_bytes <= 2 * _HELD_BYTES_MAX + len(_LINE_ENDS)


def _take(frame: Frame) -> None:
    incoming = Incoming.of(frame)
    record = _record(Message(incoming.value, incoming.key, incoming.record_headers("1"), incoming.timestamp))
    lines_to_send(frame.head)
    with contextlib.suppress(InvalidArgumentError):
        sent = outgoing(record, "1", is_grouped=True)
        Frame("SEND", sent.head.removesuffix(b"\n"), sent.body).headers()


def amqp_messages(data: bytes) -> None:
    """A message with any properties and headers."""
    provider = atheris.FuzzedDataProvider(data)
    choices = provider.ConsumeIntInRange(0, 255)
    body = provider.ConsumeBytes(8 if choices & 4 else 0)
    exchange, routing_key = provider.ConsumeBytes(4), provider.ConsumeBytes(8)
    encoded = provider.ConsumeBytes(provider.remaining_bytes())
    if choices & 8:  # otherwise most inputs would fail at the length of the table
        encoded = struct.pack(">HI", 1 << 13, len(encoded)) + encoded
    message = _READINGS[choices & 3].message(Delivery.of(exchange, routing_key, bool(choices & 16), encoded, body), None)
    with contextlib.suppress(AmqpFormatError):
        sent = Publishing(_ORIGIN, "queue" if choices & 32 else None).publication(_record(message))
        for value in _values(sent.encoded):
            tables.readable(value)


def _values(encoded: bytes) -> Iterator[tables.Value]:
    table = properties.parse(encoded).get("headers")
    if isinstance(table, bytes):
        yield from (field.value for field in tables.fields(table))
