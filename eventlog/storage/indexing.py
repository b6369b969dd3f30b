"""Making the indexes of a segment anew from its .log file, which is the truth about them."""

from __future__ import annotations

import os
from pathlib import Path

from eventlog._native import ffi, lib
from eventlog.storage import files, names
from eventlog.storage.headers import IndexBuilder, needed_bytes, new_tail

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
    indexes = IndexBuilder(new_tail(base_offset), interval_bytes)
    tail, block_bytes = indexes.tail, _BLOCK_BYTES
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        while tail.position < size:
            data = files.read_at(file.fileno(), block_bytes, tail.position)
            before = tail.position
            indexes.add(ffi.from_buffer("uint8_t[]", data), len(data), len(data) // lib.EL_BATCH_HEADER_BYTES)
            if tail.position > before:
                block_bytes = _BLOCK_BYTES
            elif not any(data[: lib.EL_BATCH_HEADER_BYTES]):
                break  # as for a reader, zeros are the end
            else:
                block_bytes = needed_bytes(path, data, before, size)
    indexes.seal()
    return bytes(indexes.entries), bytes(indexes.time_entries)
