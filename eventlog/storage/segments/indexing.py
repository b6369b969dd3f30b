"""Rebuilding the indexes of a segment from its .log file, which is authoritative."""

from __future__ import annotations

import sys
from pathlib import Path

from eventlog._native import ffi, lib
from eventlog.errors import CorruptLogError, LockTimeoutError
from eventlog.logs import logger
from eventlog.storage.segments import files, index, names
from eventlog.storage.segments.batches import HEADER_BYTES, Block, parse_native, walk
from eventlog.storage.segments.damage import wrong_batch
from eventlog.storage.segments.headers import IndexBuilder, check_end, new_tail
from eventlog.storage.segments.lock import segments_locked

INDEX_INTERVAL_BYTES = 4096  # Kafka's default of index.interval.bytes

_log = logger("recovery")

_BLOCK_BYTES = 8 * 2**20
_READER_TIMEOUT_MS = 1  # a reader does not wait for others: it can also read without an index


def rebuild_indexes(directory: Path, base_offset: int, interval_bytes: int = INDEX_INTERVAL_BYTES) -> None:
    """Rebuild both indexes of a sealed segment: each is replaced atomically, so readers may be at work.

    No process may replace the segment meanwhile: see `segments_locked`. Raises `CorruptLogError` if the segment is damaged,
    and then nothing was changed: readers would trust indexes of wrong data."""
    path = names.segment_file(directory, base_offset)
    following = min((base for base in files.segment_bases(directory) if base > base_offset), default=sys.maxsize)
    indexes = _build_indexes(path, base_offset, following, interval_bytes)
    files.replace_file(names.segment_file(directory, base_offset, names.INDEX_SUFFIX), [bytes(indexes.entries)])
    files.replace_file(names.segment_file(directory, base_offset, names.TIME_INDEX_SUFFIX), [bytes(indexes.time_entries)])


def _build_indexes(path: Path, base_offset: int, following: int, interval_bytes: int) -> IndexBuilder:
    """The right indexes of a sealed .log file whose successor begins at `following`. Raises `CorruptLogError`."""
    indexes = IndexBuilder(new_tail(base_offset), interval_bytes)
    tail = indexes.tail
    for block in walk(path, 0, files.size_of(path), base_offset, block_bytes=_BLOCK_BYTES):
        _add_right_batches(path, indexes, block)
        if block.consumed == 0 and not any(block.data[:HEADER_BYTES]):
            break  # zeros are the end, as for a reader
    check_end(path, tail.end_offset, min(following, base_offset + index.OFFSETS_MAX))
    indexes.seal()
    return indexes


def _add_right_batches(path: Path, indexes: IndexBuilder, block: Block) -> None:
    """Add the whole batches at the beginning of a block, up to a gap. Raises `CorruptLogError` if one is not valid."""
    header, _ = parse_native(block.native, block.length)
    scan = ffi.new("el_scan *")
    lib.el_scan_begin(scan, max(header.base_offset, indexes.tail.end_offset))  # compaction and repair leave gaps
    status = lib.el_scan_batches(block.native, block.length, scan)
    indexes.add(block.native, scan.valid_bytes, scan.batch_count)
    block.consumed, block.next_offset = int(scan.valid_bytes), indexes.tail.end_offset
    is_gap = status == lib.EL_CODEC_BAD_OFFSET and scan.valid_bytes > 0
    if status not in (lib.EL_CODEC_OK, lib.EL_CODEC_INCOMPLETE, lib.EL_CODEC_ZEROS) and not is_gap:
        raise wrong_batch(path, block.position + block.consumed, status, scan.next_offset)


def rebuild_lying_indexes(directory: Path, base_offset: int, interval_bytes: int) -> None:
    """Rebuild the indexes of a segment after an entry was found that does not point to a batch, if the segment is sealed.

    If the segments are locked, or the segment itself is damaged, the indexes stay unchanged."""
    try:
        with segments_locked(directory, _READER_TIMEOUT_MS):
            if base_offset in files.segment_bases(directory)[:-1]:
                rebuild_indexes(directory, base_offset, interval_bytes)
                path = names.segment_file(directory, base_offset, names.INDEX_SUFFIX)
                _log.warning("%s or its time index was damaged: both were rebuilt from the segment", path)
    except (OSError, LockTimeoutError, CorruptLogError):
        return
