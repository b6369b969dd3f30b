"""Descriptions of columns for Arrow's PyCapsule protocol, by which libraries take over memory without knowing each other.

Sources: https://arrow.apache.org/docs/format/CDataInterface.html (formats, flags, layouts)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from eventlog._native import arrow_array, arrow_schema, arrow_stream, ffi

_NULLABLE = 2


class Field(NamedTuple):
    """A column, or the fields of a struct: its name, and its type as Arrow's C data interface spells it."""

    name: str
    format: str
    flags: int = _NULLABLE
    children: tuple[Any, ...] = ()


class Node(NamedTuple):
    """The content of a column: addresses of its buffers, the first of which says what is null (0: nothing is)."""

    length: int
    null_count: int
    addresses: tuple[int, ...]
    children: tuple[Any, ...] = ()


def address(buffer: memoryview | None) -> int:
    """Where a buffer is, as long as it is held; 0 for None."""
    return 0 if buffer is None else int(ffi.cast("uintptr_t", ffi.from_buffer(buffer)))


def struct(fields: tuple[Field, ...]) -> Field:
    """The schema of a table with these columns."""
    return Field("", "+s", 0, fields)


def table(length: int, columns: tuple[Node, ...]) -> Node:
    """A piece of a table with these columns."""
    return Node(length, 0, (0,), columns)


def schema_capsule(field: Field) -> object:
    """A schema, in a capsule for Arrow's PyCapsule protocol."""
    return arrow_schema(field)


def array_capsule(node: Node, owner: object) -> object:
    """A piece of a table, in such a capsule; the owner holds its memory."""
    return arrow_array(node, owner)


def stream_capsule(field: Field, nodes: Iterator[tuple[Node, object]]) -> object:
    """A stream of pieces of a table, each with the owner of its memory, in such a capsule."""
    return arrow_stream(field, lambda: next(nodes, None))


PARTITION = Field("partition", "i")
OFFSET = Field("offset", "l")
TIMESTAMP = Field("timestamp", "tsm:UTC")
KEY = Field("key", "Z")
VALUE = Field("value", "Z")
HEADERS = Field("headers", "+L", _NULLABLE, (Field("item", "+s", _NULLABLE, (Field("name", "U"), Field("value", "Z"))),))


def record_fields(*, has_partition: bool, has_headers: bool) -> Field:
    """The schema of records as columns."""
    first = (PARTITION,) if has_partition else ()
    return struct((*first, OFFSET, TIMESTAMP, KEY, VALUE, *((HEADERS,) if has_headers else ())))
