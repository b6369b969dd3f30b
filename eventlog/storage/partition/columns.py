"""Taking checked records from a reader as columns."""

from __future__ import annotations

from typing import Any

from eventlog._native import ffi, lib
from eventlog.records.columns import BytesColumn, Columns

_new = ffi.new_allocator(should_clear_after_alloc=False)  # every byte is written


def take_columns(reader: Any, count_max: int, stop: int) -> tuple[Columns | None, int]:
    """Up to `count_max` checked records of a native reader below `stop`, and 0; if there are none, None and its status."""
    columns = ffi.new("el_columns *")
    lib.el_columns_measure(reader, count_max, stop, columns)
    if columns.count == 0:
        return None, int(lib.el_columns_fill(reader, stop, columns))
    offsets, columns.offsets = _numbers(columns.count)
    timestamps, columns.timestamps = _numbers(columns.count)
    keys = _bytes_column(columns.keys, columns.count)
    values = _bytes_column(columns.values, columns.count)
    status = int(lib.el_columns_fill(reader, stop, columns))
    return Columns(offsets, timestamps, keys, values), status


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


def _room(size: int) -> tuple[memoryview, Any]:
    memory = _new("uint8_t[]", size)
    return memoryview(ffi.buffer(memory)).toreadonly(), memory
