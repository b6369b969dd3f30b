"""Field tables of AMQP 0-9-1, which message headers are (section 4.2.5.5 of the protocol, with RabbitMQ's types of fields).

A table is the bytes behind its length. Nothing here trusts them: what is not a table raises `AmqpFormatError`, and takes no
more memory than a few times its size."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from decimal import Decimal
from typing import NamedTuple, TypeAlias

from eventlog.errors import EventLogError

# Text and other bytes are both `bytes` here: only the tag says which of the two the sender meant.
Value: TypeAlias = "bool | int | float | Decimal | bytes | list[Value] | dict[str, Value] | None"

NESTING_MAX = 64
_NAME_BYTES_MAX = 255


class AmqpFormatError(EventLogError):
    """Bytes of an AMQP message are not what the protocol allows."""


class Field(NamedTuple):
    """One field of a table, and the bytes of the table from `start` to `end` that encode it."""

    name: str
    value: Value
    start: int
    end: int


def _fixed(layout: str, convert: Callable[..., Value] | None = None) -> tuple[struct.Struct, Callable[..., Value] | None]:
    return struct.Struct(">" + layout), convert


def _decimal(scale: int, digits: int) -> Decimal:
    return Decimal(digits).scaleb(-scale)


# "L" and "l" are signed in RabbitMQ, whatever the protocol says of one of them; "U" is the protocol's name for RabbitMQ's "s".
_FIXED = {
    ord("t"): _fixed("B", bool),
    ord("b"): _fixed("b"),
    ord("B"): _fixed("B"),
    ord("s"): _fixed("h"),
    ord("U"): _fixed("h"),
    ord("u"): _fixed("H"),
    ord("I"): _fixed("i"),
    ord("i"): _fixed("I"),
    ord("l"): _fixed("q"),
    ord("L"): _fixed("q"),
    ord("f"): _fixed("f"),
    ord("d"): _fixed("d"),
    ord("D"): _fixed("Bi", _decimal),
    ord("T"): _fixed("Q"),
}
_TEXT, _BYTES, _ARRAY, _TABLE, _NULL = b"SxAFV"
_LENGTH = struct.Struct(">I")


def fields(table: bytes) -> Iterator[Field]:
    """The fields of a table, in its order; names may repeat. Raises `AmqpFormatError` where it ends or makes no sense."""
    return _fields(table, 0, len(table), 0)


def _fields(table: bytes, position: int, end: int, depth: int) -> Iterator[Field]:
    while position < end:
        start = position
        name_end = position + 1 + table[position]
        if name_end > end:
            raise AmqpFormatError(f"a field's name at byte {position} of a table is cut off")
        name = table[position + 1 : name_end].decode("utf-8", "backslashreplace")
        value, position = _value(table, name_end, end, depth)
        yield Field(name, value, start, position)


def _value(table: bytes, position: int, end: int, depth: int) -> tuple[Value, int]:
    if position >= end:
        raise AmqpFormatError(f"a field at byte {position} of a table has no value")
    tag = table[position]
    position += 1
    if tag in _FIXED:
        layout, convert = _FIXED[tag]
        value_end = position + layout.size
        if value_end > end:
            raise AmqpFormatError(f"a value at byte {position} of a table is cut off")
        numbers = layout.unpack_from(table, position)
        return (convert(*numbers) if convert else numbers[0]), value_end
    if tag == _NULL:
        return None, position
    if tag not in (_TEXT, _BYTES, _ARRAY, _TABLE):
        raise AmqpFormatError(f"a field at byte {position - 1} of a table has the unknown type {tag:#x}")
    start = position + _LENGTH.size
    value_end = start + _LENGTH.unpack_from(table, position)[0] if start <= end else end + 1
    if value_end > end:
        raise AmqpFormatError(f"a value at byte {position} of a table is cut off")
    if tag in (_TEXT, _BYTES):
        return table[start:value_end], value_end
    if depth == NESTING_MAX:
        raise AmqpFormatError(f"a table is nested deeper than {NESTING_MAX} levels")
    if tag == _ARRAY:
        return _array(table, start, value_end, depth + 1), value_end
    return {field.name: field.value for field in _fields(table, start, value_end, depth + 1)}, value_end


def _array(table: bytes, position: int, end: int, depth: int) -> list[Value]:
    values = []
    while position < end:
        value, position = _value(table, position, end, depth)
        values.append(value)
    return values


def without(table: bytes, names: Collection[str]) -> bytes:
    """The table without the fields of these names; the others stay as they are, bit for bit. Raises `AmqpFormatError`."""
    return b"".join(table[field.start : field.end] for field in fields(table) if field.name not in names)


def readable(value: Value) -> bytes | None:
    """A value as people write it: text and bytes as they are, numbers in decimal, lists and tables as JSON."""
    if value is None or isinstance(value, bytes):
        return value
    if isinstance(value, bool):
        return b"true" if value else b"false"
    if isinstance(value, list | dict):
        return json.dumps(value, default=_plain, ensure_ascii=False).encode("utf-8", "backslashreplace")
    return str(value).encode()


def _plain(value: object) -> str:
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)


def encode(named: Mapping[str, Iterable[bytes | None]]) -> bytes:
    """A table of these names with one or several values each: text where bytes are UTF-8, several as an array.

    Raises `AmqpFormatError` for a name of more than 255 bytes."""
    return b"".join(_encoded_name(name) + _encoded(list(values)) for name, values in named.items())


def _encoded_name(name: str) -> bytes:
    encoded = name.encode("utf-8", "surrogatepass")
    if len(encoded) > _NAME_BYTES_MAX:
        raise AmqpFormatError(f"the header name {name[:20]!r}… has {len(encoded)} bytes; AMQP allows {_NAME_BYTES_MAX}")
    return bytes((len(encoded),)) + encoded


def _encoded(values: list[bytes | None]) -> bytes:
    if len(values) != 1:
        return _with_length(_ARRAY, b"".join(_encoded([value]) for value in values))
    (value,) = values
    if value is None:
        return bytes((_NULL,))
    try:
        value.decode()
    except UnicodeDecodeError:
        return _with_length(_BYTES, value)
    return _with_length(_TEXT, value)


def _with_length(tag: int, content: bytes) -> bytes:
    return bytes((tag,)) + _LENGTH.pack(len(content)) + content
