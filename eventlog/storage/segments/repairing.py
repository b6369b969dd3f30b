"""Finding the valid batches of a damaged partition, and rewriting its segments with them alone.

A batch is valid if its checksum matches and its offsets lie between those of its neighbours. The checksum does not cover the
base offset: a batch that leaps over the offsets of the batches after it is the invalid one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from eventlog._native import ffi, lib
from eventlog.errors import EventLogError, UnsupportedFormatError
from eventlog.holding import Holding
from eventlog.records.compression import decompress
from eventlog.storage.segments import files, names
from eventlog.storage.segments.batches import HEADER_BYTES, Batch, parse_native, read_header
from eventlog.storage.segments.damage import wrong_batch
from eventlog.storage.segments.file_locks import lock_holders, locked_alone
from eventlog.storage.segments.indexing import rebuild_indexes
from eventlog.storage.segments.recovery import find_batch, find_data_end

_BLOCK_BYTES = 8 * 2**20
_GOES_BACK = "its offsets come before those of the preceding batch"
_LEAPS = "its offsets come after those of the following batch"


class Bytes(NamedTuple):
    """Bytes of a file that are not valid, and why."""

    position: int
    size_bytes: int
    reason: str


@dataclass
class SegmentScan:
    """A segment: its valid batches, its invalid bytes, and the leader epochs with their first offsets."""

    path: Path
    base_offset: int
    batches: list[Batch] = field(default_factory=list)
    wrong: list[Bytes] = field(default_factory=list)

    def gaps(self, next_offset: int) -> Iterator[range]:
        """The offsets that no batch has, from `next_offset` on."""
        for batch in self.batches:
            if batch.base_offset > next_offset:
                yield range(next_offset, batch.base_offset)
            next_offset = batch.next_offset

    def epochs(self) -> Iterator[tuple[int, int]]:
        """The leader epoch of each batch, with its first offset."""
        for batch in self.batches:
            yield batch.leader_epoch, batch.base_offset


def scan_segment(
    path: Path, base_offset: int, bounds: range, size: int, *, is_last: bool, known_end: int = names.OFFSET_MAX
) -> SegmentScan:
    """Examine every batch of a segment's first `size` bytes: valid ones have offsets within `bounds`.

    In the last segment, zeros at the end are space reserved for appends, not damage. It may continue after `known_end`, but
    there an offset that is too large cannot be recognised, unless it leaves a gap after a valid batch.
    Raises `UnsupportedFormatError`."""
    scan = SegmentScan(path, base_offset)
    with open(path, "rb") as file:
        descriptor = file.fileno()
        position = 0
        while position < size:
            batch, reason = _batch_at(descriptor, position, size)
            if batch is None:
                _refuse_foreign(path, position, _end_of(scan, bounds))
            if batch is None and is_last and find_data_end(path, position, size) == position:
                break
            reason = reason or (_misplacement(scan, batch, bounds, known_end) if batch is not None else "")
            if batch is not None and not reason:
                scan.batches.append(batch)
                position += batch.size_bytes
                continue
            right = range(_end_of(scan, bounds), bounds.stop)
            following = _following(descriptor, batch, size, right) or _next_right(path, position + 1, size, right)
            scan.wrong.append(Bytes(position, following - position, reason))
            position = following
    _join(scan)
    return scan


def _refuse_foreign(path: Path, position: int, next_offset: int) -> None:
    """Raise `UnsupportedFormatError` if another format is found there, because this code cannot tell what is valid in it."""
    found = wrong_batch(path, position, lib.EL_CODEC_OK, next_offset)
    if isinstance(found, UnsupportedFormatError):
        raise found


def _is_right(descriptor: int, position: int, size: int, offsets: range) -> bool:
    batch, reason = _batch_at(descriptor, position, size)
    return batch is not None and not reason and offsets.start <= batch.base_offset and batch.next_offset <= offsets.stop


def _following(descriptor: int, batch: Batch | None, size: int, offsets: range) -> int | None:
    """The end of an invalid batch, if its length is right: its records may contain bytes that look like a batch."""
    end = batch.end if batch is not None else size
    return end if batch is not None and (end == size or _is_right(descriptor, end, size, offsets)) else None


def _end_of(scan: SegmentScan, bounds: range) -> int:
    return scan.batches[-1].next_offset if scan.batches else bounds.start


def _misplacement(scan: SegmentScan, batch: Batch, bounds: range, known_end: int) -> str:
    """Why a batch cannot follow the others, or "". Earlier batches that leapt too far are removed from the valid ones."""
    follows_right_one = batch.position == (scan.batches[-1].position + scan.batches[-1].size_bytes if scan.batches else 0)
    is_unknown = batch.next_offset > known_end
    if batch.next_offset > bounds.stop or (is_unknown and follows_right_one and batch.base_offset > _end_of(scan, bounds)):
        return _LEAPS
    while scan.batches and batch.base_offset < scan.batches[-1].next_offset:
        last = scan.batches.pop()
        before = _end_of(scan, bounds)
        if last.base_offset == before or batch.base_offset < before:
            scan.batches.append(last)
            return _GOES_BACK
        scan.wrong.append(Bytes(last.position, last.size_bytes, _LEAPS))
    return _GOES_BACK if batch.base_offset < _end_of(scan, bounds) else ""


def _batch_at(descriptor: int, position: int, size: int) -> tuple[Batch | None, str]:
    """The batch at a position, and what is wrong with it, or ""; None if there is no whole batch."""
    batch, status = read_header(descriptor, position)
    if batch is None:
        return None, _text(status)
    if batch.end > size:
        return None, f"a batch of {batch.size_bytes} bytes, of which {size - position} are there"
    data = files.read_at(descriptor, batch.size_bytes, position)
    native, scan = ffi.from_buffer("uint8_t[]", data), ffi.new("el_scan *")
    lib.el_scan_begin(scan, batch.base_offset)
    status = lib.el_scan_batches(native, len(data), scan)
    reason = "" if status == lib.EL_CODEC_OK else _text(status)
    if not reason and batch.codec:
        reason = _what_is_wrong_inside(parse_native(native, len(data))[0], batch.codec, data[HEADER_BYTES:])
    return batch, reason


def _what_is_wrong_inside(header: Any, codec: int, section: bytes) -> str:
    try:
        records = decompress(codec, section)
    except ValueError as error:
        return f"a batch that cannot be decompressed: {error}"
    status = lib.el_batch_verify_records(ffi.from_buffer("uint8_t[]", records), len(records), header)
    return "" if status == lib.EL_CODEC_OK else _text(status)


def _text(status: int) -> str:
    return str(ffi.string(lib.el_codec_status_text(status)).decode())


def _next_right(path: Path, start: int, size: int, offsets: range) -> int:
    """The position of the next valid batch whose offsets are among these, or the end."""
    with open(path, "rb") as file:
        while (found := find_batch(path, start, size, offsets.start)) is not None:
            if _is_right(file.fileno(), found, size, offsets):
                return found
            batch, _ = _batch_at(file.fileno(), found, size)
            start = found + (batch.size_bytes if batch is not None else 1)
    return size


def _join(scan: SegmentScan) -> None:
    """Merge adjacent invalid bytes into one piece."""
    joined: list[Bytes] = []
    for piece in sorted(scan.wrong):
        if joined and joined[-1].position + joined[-1].size_bytes == piece.position:
            joined[-1] = joined[-1]._replace(size_bytes=joined[-1].size_bytes + piece.size_bytes)
        else:
            joined.append(piece)
    scan.wrong = joined


def rewrite_segment(scan: SegmentScan, interval_bytes: int, *, may_go: bool) -> None:
    """Replace a segment by one with only the valid batches, and its indexes; with `may_go`, delete an empty one."""
    directory = scan.path.parent
    if not scan.batches and may_go:
        files.delete_segment(directory, scan.base_offset)
        files.sync_directory(directory)
        return
    files.replace_file(scan.path, _right_bytes(scan))
    rebuild_indexes(directory, scan.base_offset, interval_bytes)


def _right_bytes(scan: SegmentScan) -> Iterator[bytes]:
    with open(scan.path, "rb") as file:
        for batch in scan.batches:
            file.seek(batch.position)
            yield file.read(batch.size_bytes)


def set_aside(path: Path, piece: Bytes, removed: Path) -> Path:
    """Copy bytes that are about to be removed to a new file in `removed`; returns that file."""
    files.make_directory(removed.parent)
    files.make_directory(removed)
    kept, number = removed / f"{path.stem}-{piece.position}.bin", 0
    while files.is_there(kept):
        number += 1
        kept = removed / f"{path.stem}-{piece.position}-{number}.bin"
    with open(path, "rb") as file:
        file.seek(piece.position)
        stop = piece.position + piece.size_bytes
        files.replace_file(kept, (file.read(min(_BLOCK_BYTES, stop - at)) for at in range(piece.position, stop, _BLOCK_BYTES)))
    return kept


def partition_closed_by_all(head_file: Path, what: str) -> Holding[bool]:
    """Prevent all others from opening a partition. The block raises `EventLogError`, which names the processes that have it
    open."""

    def refuse(descriptor: int) -> None:
        holders = ", ".join(map(str, lock_holders(descriptor))) or "another one"
        raise EventLogError(f"{what} is open in process {holders}: end it first; nothing was changed") from None

    return locked_alone(head_file, refuse)
