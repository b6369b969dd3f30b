"""The properties of an AMQP 0-9-1 message, as its content header has them: 16 flags, and the fields that these announce.

Each set of fields has exactly one encoding, so that taking one field out leaves the others as they were, bit for bit."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

from eventlog.bridges.amqp.tables import AmqpFormatError

_FLAGS = struct.Struct(">H")
_UNUSED_FLAGS = 0b11  # a further word of flags, and one that no property has


class _Kind(NamedTuple):
    """How a property is encoded: as a number, or as bytes behind a number that is their length."""

    layout: struct.Struct
    is_number: bool = False


_SHORT = _Kind(struct.Struct(">B"))
_TABLE = _Kind(struct.Struct(">I"))
_OCTET = _Kind(struct.Struct(">B"), is_number=True)
_SECONDS = _Kind(struct.Struct(">Q"), is_number=True)

# By the protocol's order and names; the first one has the highest bit of the flags.
_KINDS = {
    "content-type": _SHORT,
    "content-encoding": _SHORT,
    "headers": _TABLE,
    "delivery-mode": _OCTET,
    "priority": _OCTET,
    "correlation-id": _SHORT,
    "reply-to": _SHORT,
    "expiration": _SHORT,
    "message-id": _SHORT,
    "timestamp": _SECONDS,
    "type": _SHORT,
    "user-id": _SHORT,
    "app-id": _SHORT,
    "cluster-id": _SHORT,
}
_BITS = {name: 1 << (15 - number) for number, name in enumerate(_KINDS)}

# A string is `bytes` without its length; `headers` is a table of `eventlog.bridges.amqp.tables`; numbers are `int`.
Properties = dict[str, "bytes | int"]


@lru_cache(256)
def _announced(flags: int) -> tuple[tuple[str, _Kind], ...]:
    return tuple((name, kind) for name, kind in _KINDS.items() if flags & _BITS[name])


def parse(encoded: bytes) -> Properties:
    """The properties that are there, by their names. Raises `AmqpFormatError` unless the bytes are properties, to the last."""
    try:
        (flags,) = _FLAGS.unpack_from(encoded)
        if flags & _UNUSED_FLAGS:
            raise AmqpFormatError(f"the properties of a message have unknown flags: {flags:#06x}")
        found: Properties = {}
        position = _FLAGS.size
        for name, (layout, is_number) in _announced(flags):
            (number,) = layout.unpack_from(encoded, position)
            position += layout.size
            if is_number:
                found[name] = number
            else:
                found[name] = encoded[position : position + number]
                position += number
    except struct.error:
        position = len(encoded) + 1
    if position != len(encoded):
        raise AmqpFormatError("the properties of a message do not end where they should")
    return found


def build(properties: Mapping[str, bytes | int]) -> bytes:
    """The encoding of these properties. Raises `AmqpFormatError` for a string of more than 255 bytes, or a number too large."""
    flags = 0
    pieces = []
    for name, (layout, _) in _KINDS.items():
        value = properties.get(name)
        if value is None:
            continue
        flags |= _BITS[name]
        try:
            pieces.append(layout.pack(value) if isinstance(value, int) else layout.pack(len(value)) + value)
        except struct.error:
            size = f"{len(value)} bytes" if isinstance(value, bytes) else value
            raise AmqpFormatError(f"the property {name} is too large for AMQP: {size}") from None
    return _FLAGS.pack(flags) + b"".join(pieces)

