"""The CRC32C of bytes: the checksum of batches, and of everything else that is stored."""

from __future__ import annotations

from eventlog._native import ffi, lib


def checksum_of(data: bytes | memoryview, before: int = 0) -> int:
    """The checksum of some bytes, as a continuation of those whose checksum is `before`."""
    return int(lib.el_crc32c(before, ffi.from_buffer(data), len(data)))
