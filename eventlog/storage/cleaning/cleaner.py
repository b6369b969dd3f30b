"""One pass of compaction: it collects the latest offset of each key, and rewrites segments without superseded records.

Records of aborted transactions supersede nothing, and are removed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from eventlog._native import ffi, lib
from eventlog.access import open_file
from eventlog.options import TopicConfig
from eventlog.records.attributes import COMPRESSION
from eventlog.records.compression import compress, decompress
from eventlog.storage.cleaning.retention import Segment
from eventlog.storage.partition.log import PartitionLog
from eventlog.storage.segments import files, index, names
from eventlog.storage.segments.aborted_index import AbortedList
from eventlog.storage.segments.batches import HEADER_BYTES, parse_native, walk
from eventlog.storage.segments.damage import damaged, wrong_batch
from eventlog.storage.segments.headers import IndexBuilder, check_end, new_tail
from eventlog.storage.segments.swap import swap

TIME_MAX = 2**63 - 1

_BLOCK_BYTES = 2**20
_KEY_BYTES = int(ffi.sizeof("el_key_offset"))
_RECORD_BYTES_MIN = 8  # a keyed record takes more
_KEYS_MIN = 64  # el_offset_map wants at least 8

# Handles a run of whole, uncompressed batches; returns a status, and how many bytes of the run were consumed.
_Plain = Callable[[Any, int], tuple[int, int]]
# Handles one batch that was compressed: its header, its bytes, its records.
_Compressed = Callable[[Any, bytes, bytes], int]


class _LatestOffsets:
    """The latest offset of each key. `native` is the `el_offset_map`."""

    def __init__(self, keys: int, first_offset: int, aborted: AbortedList) -> None:
        self._aborted = aborted
        self._entries = ffi.new("el_key_offset[]", keys)
        self._consumed = ffi.new("size_t *")
        self.native: Any = ffi.new("el_offset_map *")
        self.native.entries = self._entries
        self.native.capacity = keys
        self.native.secret = [int.from_bytes(os.urandom(8), "big") for _ in range(2)]
        self.native.first_offset = self.native.end_offset = first_offset
        self.native.aborted = aborted.native[0]

    def note_plain(self, block: Any, length: int) -> tuple[int, int]:
        """Record the keys and offsets of whole batches."""
        status = lib.el_offset_map_note_batches(self.native, block, length, self._consumed)
        return status, self._consumed[0]

    def note_compressed(self, batch: Any, data: bytes, section: bytes) -> int:
        """Record the keys and offsets of one batch."""
        return int(lib.el_offset_map_note(self.native, batch, ffi.from_buffer("uint8_t[]", section), len(section)))


def _note_keys(
    segments: Sequence[Segment], first_dirty: int, aborted: AbortedList, memory_bytes: int
) -> _LatestOffsets:
    """The latest offset of each key from `first_dirty` on, up to the end of the last segment, or as far as memory allows."""
    dirty = [segment for segment in segments if segment.end_offset > first_dirty]
    keys_max = sum(segment.size_bytes for segment in dirty) // _RECORD_BYTES_MIN
    latest = _LatestOffsets(max(_KEYS_MIN, min(keys_max * 8 // 7, memory_bytes // _KEY_BYTES)), first_dirty, aborted)
    for segment in dirty:
        if not _go_through(segment, latest.native, latest.note_plain, latest.note_compressed):
            break
        check_end(segment.path, latest.native.next_offset, segment.end_offset)
        latest.native.end_offset = segment.end_offset  # nothing follows the last batch
    return latest


def _go_through(segment: Segment, state: Any, plain: _Plain, compressed: _Compressed) -> bool:
    """Pass all batches of a segment to the functions; False once one of them has no room. Raises `CorruptLogError`.

    `state` is the native struct that knows the `next_offset`."""
    path = segment.path
    for block in walk(path, 0, segment.size_bytes, segment.base_offset, block_bytes=_BLOCK_BYTES):
        status, block.consumed = plain(block.native, block.length)
        if status == lib.EL_COMPACT_COMPRESSED:
            batch, whole, section = _decompressed(path, block.rest, block.position + block.consumed)
            status = compressed(batch, whole, section)
            block.consumed += len(whole) if status == lib.EL_CODEC_OK else 0
        block.next_offset = max(segment.base_offset, state.next_offset)
        if status == lib.EL_COMPACT_FULL:
            return False
        if status not in (lib.EL_CODEC_OK, lib.EL_CODEC_INCOMPLETE):
            raise wrong_batch(path, block.position + block.consumed, status, block.next_offset)
    return True


def _decompressed(path: Path, data: bytes, position: int) -> tuple[Any, bytes, bytes]:
    """The header of the compressed batch that `data` begins with, the batch alone, and its records."""
    batch, _ = parse_native(ffi.from_buffer("uint8_t[]", data), len(data))
    whole = data[: batch.size_bytes]
    try:
        section = decompress(batch.attributes & COMPRESSION, whole[HEADER_BYTES:])
    except ValueError as error:
        raise damaged(path, position, f"a batch that cannot be decompressed: {error}") from error
    status = lib.el_batch_verify_records(ffi.from_buffer("uint8_t[]", section), len(section), batch)
    if status != lib.EL_CODEC_OK:
        raise damaged(path, position, ffi.string(lib.el_codec_status_text(status)).decode())
    return batch, whole, section


class _Counted:
    """Counts what would be written."""

    def __init__(self) -> None:
        self.size_bytes = 0

    def add(self, block: Any, length: int) -> None:
        """Count whole batches."""
        self.size_bytes += length


class _CleanedSegment:
    """The files of a segment that is being written."""

    def __init__(self, directory: Path, base_offset: int, interval_bytes: int) -> None:
        self.size_bytes = 0
        self._directory = directory
        self._base_offset = base_offset
        self._indexes = IndexBuilder(new_tail(base_offset), interval_bytes)
        self._log = _create(names.cleaned_file(directory, base_offset))

    def add(self, block: Any, length: int) -> None:
        """Append whole batches."""
        self._log.write(ffi.buffer(block, length))
        self.size_bytes += length
        self._indexes.add(block, length, length // HEADER_BYTES)

    def finish(self) -> None:
        """Write everything to disk."""
        self._indexes.seal()
        _sync(self._log)
        for suffix, entries in (
            (names.INDEX_SUFFIX, self._indexes.entries),
            (names.TIME_INDEX_SUFFIX, self._indexes.time_entries),
        ):
            file = _create(names.cleaned_file(self._directory, self._base_offset, suffix))
            file.write(entries)
            _sync(file)
        files.sync_directory(self._directory)

    def discard(self) -> None:
        """Remove the files, unless they are about to replace others: the next process to lock the segments completes that."""
        with suppress(OSError):  # from data left in the buffer after a failed write
            self._log.close()
        if files.is_there(names.swap_file(self._directory, self._base_offset)):
            return
        for suffix in names.SEGMENT_SUFFIXES:
            names.cleaned_file(self._directory, self._base_offset, suffix).unlink(missing_ok=True)


def _create(path: Path) -> BinaryIO:
    return open(open_file(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), "wb")


def _sync(file: BinaryIO) -> None:
    with file:
        file.flush()
        os.fsync(file.fileno())


class Cleaner:
    """One pass over sealed segments of a partition: records before `first_dirty` were compacted earlier, and supersede none.

    Creating it collects the keys, as far as memory allows. `native` is the `el_compaction`. Raises `CorruptLogError`."""

    def __init__(
        self,
        log: PartitionLog,
        settings: TopicConfig,
        now_ms: int,
        segments: Sequence[Segment],
        first_dirty: int,
        aborted: AbortedList,
        memory_bytes: int,
    ) -> None:
        self._partition = log
        self._latest = latest = _note_keys(segments, first_dirty, aborted, memory_bytes)
        self._segments = [segment for segment in segments if segment.base_offset < latest.native.end_offset]
        self._segment_bytes = settings.number("segment.bytes")
        self._interval_bytes = settings.number("index.interval.bytes")
        self.native: Any = ffi.new("el_compaction *")
        self.native.map = latest.native
        self.native.now = now_ms
        self.native.new_horizon = min(now_ms + settings.number("delete.retention.ms"), TIME_MAX)
        self.native.earliest_horizon = TIME_MAX
        last_offsets = sorted(each.last_offset for each in log.producers())
        self._last_offsets = ffi.new("int64_t[]", last_offsets)
        self.native.last_offsets, self.native.last_offset_count = self._last_offsets, len(last_offsets)

    @property
    def end_offset(self) -> int:
        """The offset before which everything is compacted by this pass."""
        return int(self._latest.native.end_offset)

    @property
    def size_bytes(self) -> int:
        """The size of the segments that it goes through, in bytes."""
        return sum(segment.size_bytes for segment in self._segments)

    def count(self) -> int:
        """How many bytes of the segments would stay."""
        counted = _Counted()
        for segment in self._segments:
            _go_through(segment, self.native, *self._writers(counted))
            check_end(segment.path, self.native.next_offset, segment.end_offset)
        return counted.size_bytes

    def write_anew(self) -> None:
        """Rewrite the segments, and merge neighbours as long as the result fits into one segment."""
        remaining = list(self._segments)
        while remaining:
            cleaned = _CleanedSegment(self._partition.directory, remaining[0].base_offset, self._interval_bytes)
            try:
                group, is_changed = self._write_group(remaining, cleaned)
                is_in_place = is_changed and self._put_in_place(group, cleaned)
            except BaseException:
                cleaned.discard()
                raise
            if not is_in_place:
                cleaned.discard()
            del remaining[: len(group)]

    def _write_group(self, segments: Sequence[Segment], cleaned: _CleanedSegment) -> tuple[Sequence[Segment], bool]:
        """Write as many of these segments as fit; returns which ones, and whether that changes anything."""
        changed_before = self.native.batches_changed
        group: list[Segment] = []
        for segment in segments:
            is_far = segment.end_offset - segments[0].base_offset > index.OFFSETS_MAX
            if group and (is_far or cleaned.size_bytes + segment.size_bytes > self._segment_bytes):
                break
            _go_through(segment, self.native, *self._writers(cleaned))
            check_end(segment.path, self.native.next_offset, segment.end_offset)
            group.append(segment)
        return group, len(group) > 1 or self.native.batches_changed > changed_before

    def _put_in_place(self, group: Sequence[Segment], cleaned: _CleanedSegment) -> bool:
        cleaned.finish()
        with self._partition.locked():
            if not all(files.is_there(segment.path) for segment in group):
                return False  # retention or a request has deleted records meanwhile
            self._partition.allow_gaps()  # first: readers must not mistake the gaps for damage
            swap(self._partition.directory, group[0].base_offset, [segment.base_offset for segment in group[1:]])
            self._partition.segments_changed()
        return True

    def _writers(self, cleaned: _CleanedSegment | _Counted) -> tuple[_Plain, _Compressed]:
        consumed, produced, kept = ffi.new("size_t *"), ffi.new("size_t *"), ffi.new("el_batch *")

        def write_plain(block: Any, length: int) -> tuple[int, int]:
            out = ffi.new("uint8_t[]", lib.EL_COMPACT_GROWTH * length)
            status = lib.el_compact_batches(self.native, block, length, out, consumed, produced)
            cleaned.add(out, produced[0])
            return status, consumed[0]

        def write_compressed(batch: Any, whole: bytes, section: bytes) -> int:
            out = ffi.new("uint8_t[]", lib.EL_COMPACT_GROWTH * len(section))
            records = ffi.from_buffer("uint8_t[]", section)
            changed = lib.el_compact_records(self.native, batch, records, len(section), out, kept)
            if changed < 0:
                return int(lib.EL_CODEC_BAD_OFFSET)
            if changed == 0:
                cleaned.add(ffi.from_buffer("uint8_t[]", whole), len(whole))
            elif kept.size_bytes > 0:
                compressed = bytes(ffi.buffer(out, kept.size_bytes - HEADER_BYTES))
                if kept.record_count > 0:
                    compressed = compress(kept.attributes & COMPRESSION, compressed)
                kept.size_bytes = HEADER_BYTES + len(compressed)
                data = ffi.new("uint8_t[]", bytes(HEADER_BYTES) + compressed)
                lib.el_batch_seal(data, kept)
                cleaned.add(data, kept.size_bytes)
            return int(lib.EL_CODEC_OK)

        return write_plain, write_compressed
