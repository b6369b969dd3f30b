"""Making a native reader, which goes through blocks of batches."""

from __future__ import annotations

from typing import Any

from eventlog._native import ffi, lib


def new_native_reader(block_bytes: int) -> Any:
    """An `el_reader` that is freed with the object. Raises `MemoryError`."""
    reader = lib.el_reader_new(block_bytes)
    if reader == ffi.NULL:
        raise MemoryError("memory ran out while a reader was made")
    return ffi.gc(reader, lib.el_reader_free)
