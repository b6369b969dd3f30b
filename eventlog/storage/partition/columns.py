"""Taking checked records from a reader as columns."""

from __future__ import annotations

from typing import Any, NamedTuple

from eventlog._native import ffi, lib
from eventlog.clock import Time, as_timestamp
from eventlog.options import check_number
from eventlog.records.columns import BytesColumn, Columns, HeadersColumn

_INT64_MIN, _INT64_MAX = -(2**63), 2**63 - 1
_new = ffi.new_allocator(should_clear_after_alloc=False)  # every byte is written


class ColumnSelection(NamedTuple):
    """Which records become columns, by their timestamps (`since` up to, not including, `until`), and whether their headers
    do."""

    since: int = _INT64_MIN
    until: int = _INT64_MAX
    has_headers: bool = False

    @classmethod
    def of(cls, since: Time | None, until: Time | None, *, has_headers: bool) -> ColumnSelection:
        """From the arguments of a caller. Raises `InvalidTypeError`, `InvalidArgumentError`."""
        first = _INT64_MIN if since is None else check_number("since", as_timestamp(since), 0, _INT64_MAX)
        end = _INT64_MAX if until is None else check_number("until", as_timestamp(until), 0, _INT64_MAX)
        return cls(first, end, has_headers)


def take_columns(reader: Any, count_max: int, stop: int, selection: ColumnSelection) -> tuple[Columns | None, int]:
    """Up to `count_max` checked records of a native reader below `stop`, and 0; if there are none, None and its status."""
    columns = ffi.new("el_columns *")
    columns.since, columns.until, columns.has_headers = selection
    lib.el_columns_measure(reader, count_max, stop, columns)
    if columns.count == 0:
        return None, int(lib.el_columns_fill(reader, stop, columns))
    offsets, columns.offsets = _numbers(columns.count)
    timestamps, columns.timestamps = _numbers(columns.count)
    keys = _bytes_column(columns.keys, columns.count)
    values = _bytes_column(columns.values, columns.count)
    headers = _headers_column(columns.headers, columns.count) if selection.has_headers else None
    status = int(lib.el_columns_fill(reader, stop, columns))
    return Columns(offsets, timestamps, keys, values, headers), status


def _numbers(count: int) -> tuple[memoryview, Any]:
    memory = _new("int64_t[]", count)
    return memoryview(ffi.buffer(memory)).cast("q").toreadonly(), memory


def _bytes_column(column: Any, count: int) -> BytesColumn:
    """Memory for a measured column. The views keep the memory alive whose addresses the C library gets."""
    data, column.data = _room(column.data_bytes)
    ends, column.ends = _numbers(count + 1)
    validity = None
    if column.null_count > 0:
        validity, column.validity = _room((count + 7) // 8)
    return BytesColumn(data, ends, validity, column.null_count)


def _headers_column(headers: Any, count: int) -> HeadersColumn:
    ends, headers.ends = _numbers(count + 1)
    names = _bytes_column(headers.names, headers.count)
    return HeadersColumn(ends, names, _bytes_column(headers.values, headers.count))


def _room(size: int) -> tuple[memoryview, Any]:
    memory = _new("uint8_t[]", size)
    return memoryview(ffi.buffer(memory)).toreadonly(), memory
