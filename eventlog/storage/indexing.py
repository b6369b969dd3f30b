"""Making the indexes of a segment anew from its .log file, which is the truth about them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from eventlog._native import ffi, lib
from eventlog.errors import CorruptLogError
from eventlog.storage import files, index, names

INDEX_INTERVAL_BYTES = 4096  # Kafka's default of index.interval.bytes

_BLOCK_BYTES = 8 * 2**20


def rebuild_indexes(directory: Path, base_offset: int, interval_bytes: int = INDEX_INTERVAL_BYTES) -> None:
    """Write both indexes of a sealed segment anew: each is replaced at once, so readers may be at work.

    Nobody may replace the segment meanwhile: see `segments_locked`. Raises `CorruptLogError`, and then nothing was changed, if
    headers of the segment's batches are not right; the checksums of the batches are not looked at."""
    entries, time_entries = build_indexes(names.segment_file(directory, base_offset), base_offset, interval_bytes)
    files.replace_file(names.segment_file(directory, base_offset, names.INDEX_SUFFIX), [entries])
    files.replace_file(names.segment_file(directory, base_offset, names.TIME_INDEX_SUFFIX), [time_entries])


def build_indexes(path: Path, base_offset: int, interval_bytes: int) -> tuple[bytes, bytes]:
    """The bytes of the .index and the .timeindex that a sealed .log file is to have. Raises `CorruptLogError`."""
    tail = ffi.new("el_tail *")
    tail.segment_base = base_offset
    tail.max_timestamp = tail.max_timestamp_offset = tail.indexed_timestamp = tail.first_timestamp = -1
    entries, time_entries = bytearray(), bytearray()
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        block_bytes = _BLOCK_BYTES
        while tail.position < size:
            file.seek(tail.position)
            data = file.read(block_bytes)
            before = tail.position
            _index_block(tail, data, interval_bytes, entries, time_entries)
            if tail.position > before:
                block_bytes = _BLOCK_BYTES
            elif not any(data[: lib.EL_BATCH_HEADER_BYTES]):
                break  # as for a reader, zeros are the end
            else:
                block_bytes = _bytes_of_batch(path, before, data, size)
    if tail.max_timestamp > tail.indexed_timestamp:
        time_entries += index.TIME_ENTRY.pack(tail.max_timestamp, tail.max_timestamp_offset - base_offset)
    return bytes(entries), bytes(time_entries)


def _index_block(tail: Any, data: bytes, interval_bytes: int, entries: bytearray, time_entries: bytearray) -> None:
    """Add the entries of all whole batches of a block that begins at the tail, and move the tail behind them."""
    capacity = len(data) // lib.EL_BATCH_HEADER_BYTES + 1
    made = ffi.new("uint8_t[]", capacity * index.ENTRY.size)
    time_made = ffi.new("uint8_t[]", capacity * index.TIME_ENTRY.size)
    before = tail.index_bytes, tail.time_index_bytes
    lib.el_index_rebuild(ffi.from_buffer("uint8_t[]", data), len(data), interval_bytes, tail, made, time_made)
    entries += ffi.buffer(made, tail.index_bytes - before[0])
    time_entries += ffi.buffer(time_made, tail.time_index_bytes - before[1])


def _bytes_of_batch(path: Path, position: int, data: bytes, size: int) -> int:
    batch = ffi.new("el_batch *")
    status = lib.el_batch_parse(ffi.from_buffer("uint8_t[]", data), len(data), batch)
    if status != lib.EL_CODEC_INCOMPLETE or batch.size_bytes <= len(data) or position + batch.size_bytes > size:
        raise CorruptLogError(path, position, ffi.string(lib.el_codec_status_text(status)).decode())
    return int(batch.size_bytes)
