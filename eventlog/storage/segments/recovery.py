"""Recovery: what a partition's files contain after a crash, and how they are repaired.

Only the last segment can be torn, because a segment is synced before its successor takes records; and only after the last
durable position. The decision table, by what follows the last valid batch:

    a batch or message of another format          damaged     Kafka wrote it, and we cannot read it
    the batch ends before the durable position    damaged     what was on disk is gone or wrong
    nothing                                       clean       nothing is done
    zeros only                                    trimmed     the preallocated tail is cut off
    a batch with a valid checksum, wrong inside   damaged     it was never torn, whatever wrote it
    other bytes, no valid batch after them        truncated   a torn tail: saved, cut off, new leader epoch
    other bytes with a hole, valid batches after  truncated   a power cut: pages reached the disk out of order
    other bytes, valid batches after them         damaged     something changed what was written

A damaged partition is not changed, and its valid part is read-only. A hole is a sector that is empty from some point on: the
system had not yet written it again when the power failed, though it had written what follows. After the durable position, it
never promised to have written it.

A partition whose head is from this boot and intact is `trusted`, and not examined.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from eventlog._native import ffi, lib
from eventlog.access import open_file, refuse_link
from eventlog.errors import CorruptLogError, UnsupportedFormatError
from eventlog.records.checksum import checksum_of
from eventlog.storage.segments import files, index, names
from eventlog.storage.segments.batches import Block, read_header, walk
from eventlog.storage.segments.damage import damaged, wrong_batch
from eventlog.storage.segments.epochs import begin_epoch, read_epochs, write_epochs
from eventlog.storage.segments.formats import end_of_foreign
from eventlog.storage.segments.headers import IndexBuilder, new_tail, note_timestamps
from eventlog.storage.segments.inspection import names_its_batch
from eventlog.storage.segments.start import promised_start

_BLOCK_BYTES = 8 * 2**20
_SECTOR_BYTES = 512  # the smallest unit that a disk writes whole
_CHECKSUM = slice(17, 21)  # in a batch; it covers everything after it


class Checkpoint(NamedTuple):
    """The last position that is known to be on disk: the first `position` bytes of a segment, which end before `offset`."""

    segment_base: int
    position: int
    offset: int


class RecoveryReport(NamedTuple):
    """What recovery found and did when a partition was opened.

    `outcome` is "trusted", "created", "clean", "trimmed", "truncated" or "damaged"; sizes and positions are in bytes.
    `kept_at` is the file that holds the bytes that were cut off; `damage` says where and why a damaged partition
    is read-only."""

    outcome: str
    segment: Path | None = None
    scanned_from: int = 0
    scanned_bytes: int = 0
    truncated_at: int | None = None
    truncated_bytes: int = 0
    kept_at: Path | None = None
    damage: CorruptLogError | None = None


class Recovered(NamedTuple):
    """The state that a partition's head is initialised with. A damaged partition ends where it did before: a reader that
    reaches the damage must get an error, and not mistake it for the end."""

    tail: Any  # el_tail
    start_offset: int
    leader_epoch: int
    allocated: int
    report: RecoveryReport


class _Scan:
    """The valid part of the last segment; `tail` is an el_tail."""

    def __init__(self, path: Path, size: int, tail: Any, interval_bytes: int) -> None:
        self.path = path
        self.size = size
        self.start: int = tail.position
        self.tail = tail
        self.indexes = IndexBuilder(tail, interval_bytes)
        self.status = 0


def _resume(descriptor: int, directory: Path, base_offset: int, durable_position: int) -> Any:
    """The tail to scan from: at the last trustworthy index entry before the durable position, or at the beginning."""
    tail = new_tail(base_offset)
    entries = index.sound_entries(
        index.read_index(names.segment_file(directory, base_offset, names.INDEX_SUFFIX), base_offset),
        durable_position - 1,  # a batch that begins there need not be on disk
    )
    first, _ = read_header(descriptor, 0)
    if not entries or first is None:
        return tail
    batch, _ = read_header(descriptor, entries[-1].position)
    if batch is None or batch.last_offset != entries[-1].offset:
        return tail
    time_entries = index.sound_time_entries(
        index.read_time_index(names.segment_file(directory, base_offset, names.TIME_INDEX_SUFFIX), base_offset),
        entries[-1].offset,
    )
    path = names.segment_file(directory, base_offset)
    if not time_entries or not names_its_batch(path, time_entries[-1]):
        return tail
    resumed = new_tail(base_offset)
    resumed.max_timestamp, resumed.max_timestamp_offset = time_entries[-1]
    resumed.position = next(entry.position for entry in entries if entry.offset >= time_entries[-1].offset)
    try:
        note_timestamps(path, resumed, entries[-1].position)  # a power cut may have lost later time index entries
    except CorruptLogError:
        return tail
    resumed.end_offset = batch.base_offset
    resumed.index_bytes = len(entries) * index.ENTRY.size
    resumed.bytes_since_index = 0
    resumed.time_index_bytes = len(time_entries) * index.TIME_ENTRY.size
    resumed.indexed_timestamp = time_entries[-1].timestamp
    resumed.first_timestamp = first.max_timestamp
    return resumed


def _scan_block(scan: _Scan, block: Block) -> None:
    """Check the batches of a block that begins at the tail, and index the valid ones."""
    result = ffi.new("el_scan *")
    lib.el_scan_begin(result, scan.tail.end_offset)
    scan.status = lib.el_scan_batches(block.native, block.length, result)
    scan.indexes.add(block.native, result.valid_bytes, result.batch_count)
    block.consumed, block.next_offset = int(result.valid_bytes), scan.tail.end_offset


def _scan_segment(directory: Path, base_offset: int, durable_position: int, interval_bytes: int) -> _Scan:
    path = names.segment_file(directory, base_offset)
    with open(path, "rb", buffering=0) as file:
        descriptor = file.fileno()
        size = os.fstat(descriptor).st_size
        # After a failed fsync the page cache may contain data that is not on disk: read from the disk.
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        tail = _resume(descriptor, directory, base_offset, min(durable_position, size))
    scan = _Scan(path, size, tail, interval_bytes)
    with suppress(CorruptLogError):  # the status says the same
        for block in walk(path, tail.position, size, tail.end_offset, block_bytes=_BLOCK_BYTES):
            _scan_block(scan, block)
            if scan.status not in (lib.EL_CODEC_OK, lib.EL_CODEC_INCOMPLETE) or (block.end >= size and scan.status):
                break
    return scan


def find_data_end(path: Path, start: int, size: int) -> int:
    """The position where the zeros at the end of a file begin, at `start` or later."""
    with open(path, "rb") as file:
        while size > start:
            block_start = max(start, size - _BLOCK_BYTES)
            file.seek(block_start)
            data = file.read(size - block_start).rstrip(b"\0")
            if data:
                return block_start + len(data)
            size = block_start
    return start


def find_batch(path: Path, start: int, stop: int, offset_min: int) -> int | None:
    """The position of the first valid batch from `start` on that begins with `offset_min` or a later offset."""
    overlap = 2**21
    data = b""
    with open(path, "rb") as file:
        file.seek(start)
        while start + len(data) < stop and (block := file.read(_BLOCK_BYTES)):
            data += block
            found = lib.el_find_batch(ffi.from_buffer("uint8_t[]", data), len(data), offset_min)
            if found >= 0:
                return start + int(found)
            if len(data) > overlap:
                start += len(data) - overlap
                data = data[-overlap:]
    return None


def _has_hole(path: Path, start: int, stop: int, next_offset: int) -> bool:
    """Does a sector that begins before `stop` contain only zeros (in the sector of `start`: only zeros from there on)?

    A batch with `next_offset` should begin at `start`. If that offset itself begins with zeros, they prove nothing."""
    sector_end = start - start % _SECTOR_BYTES + _SECTOR_BYTES
    if start % _SECTOR_BYTES and not any(next_offset.to_bytes(8, "big")[: sector_end - start]):
        start, sector_end = sector_end, sector_end + _SECTOR_BYTES
    with open(path, "rb") as file:
        file.seek(start)
        for end in range(sector_end, stop + _SECTOR_BYTES, _SECTOR_BYTES):
            if not any(file.read(end - file.tell())):
                return True
    return False


def _set_aside(scan: _Scan, removed: Path, data_end: int) -> Path:
    """Save the bytes that are about to be cut off, without the zeros at their end."""
    files.make_directory(removed.parent)
    files.make_directory(removed)
    start = scan.tail.position
    kept = removed / f"{scan.path.stem}-{start}.bin"
    number = 1
    while files.is_there(kept):
        kept = removed / f"{scan.path.stem}-{start}-{number}.bin"
        number += 1
    with open(scan.path, "rb") as file:
        file.seek(start)
        files.replace_file(kept, (file.read(min(_BLOCK_BYTES, data_end - at)) for at in range(start, data_end, _BLOCK_BYTES)))
    return kept


def _cut(scan: _Scan) -> None:
    """Cut the segment and its indexes after the last valid batch, and complete the indexes up to there."""
    with open(open_file(scan.path, os.O_RDWR), "r+b") as file:
        file.truncate(scan.tail.position)
        os.fsync(file.fileno())
    for suffix, end, added in (
        (names.INDEX_SUFFIX, scan.tail.index_bytes, scan.indexes.entries),
        (names.TIME_INDEX_SUFFIX, scan.tail.time_index_bytes, scan.indexes.time_entries),
    ):
        descriptor = open_file(scan.path.with_suffix(suffix))
        with open(descriptor, "r+b") as file:
            file.truncate(end - len(added))
            file.seek(end - len(added))
            file.write(added)


def is_created(directory: Path) -> bool:
    """Did `create_partition` finish here, or were segments put here from outside? Links are refused."""
    refuse_link(directory)
    is_whole = files.is_there(directory / names.EPOCH_CHECKPOINT)
    return is_whole or (files.is_there(directory) and bool(files.segment_bases(directory)))


def create_partition(directory: Path) -> None:
    """Create the directory and first segment of an empty partition. Does nothing if they exist."""
    files.make_directory(directory)
    if files.segment_bases(directory):
        return
    create_segment(directory, 0)  # first: a checkpoint without a segment would be a partition that lost its last one
    write_epochs(directory, [(0, 0)])


def create_segment(directory: Path, base_offset: int) -> None:
    """Create an empty segment, durably, which takes the appends from now on."""
    for suffix in (names.INDEX_SUFFIX, names.TIME_INDEX_SUFFIX, names.LOG_SUFFIX):
        os.close(open_file(names.segment_file(directory, base_offset, suffix)))
    files.sync_directory(directory)


def _wrong(scan: _Scan, why: str) -> CorruptLogError:
    """The error for bytes after the last valid batch that are not a torn tail."""
    end, next_offset = scan.tail.position, scan.tail.end_offset
    if scan.status == lib.EL_CODEC_OK:
        return damaged(scan.path, end, f"the segment ends, {why}", next_offset)
    found = wrong_batch(scan.path, end, scan.status, next_offset)
    return damaged(scan.path, end, f"{found.reason}, {why}", next_offset)


def _is_whole(scan: _Scan) -> bool:
    """Does the checksum of a batch with invalid records match? Then it was never torn: it was written like this."""
    if scan.status not in (lib.EL_CODEC_BAD_RECORD, lib.EL_CODEC_BAD_COUNT):
        return False
    with open(scan.path, "rb") as file:
        file.seek(scan.tail.position)
        data = file.read(lib.EL_BATCH_HEADER_BYTES)
        length = int.from_bytes(data[8:12], "big", signed=True) + lib.EL_BATCH_LENGTH_END
        if length > scan.size - scan.tail.position:
            return False
        data += file.read(length - len(data))
    return data[_CHECKSUM] == checksum_of(data[_CHECKSUM.stop :]).to_bytes(4, "big")


def _damage(scan: _Scan, durable_position: int, data_end: int) -> CorruptLogError | None:
    """What is damaged, or of another format, after the last valid batch; None: a torn tail at most."""
    end = scan.tail.position
    if end < data_end:
        found = wrong_batch(scan.path, end, scan.status, scan.tail.end_offset)
        if isinstance(found, UnsupportedFormatError):
            return found
    if end < durable_position:
        return _wrong(scan, f"but {durable_position} bytes of it were on disk")
    if end == data_end:
        return None
    if _is_whole(scan):
        return _wrong(scan, "but its checksum matches: it is what was written")
    good_batch = find_batch(scan.path, end, data_end, scan.tail.end_offset)
    if good_batch is None or _has_hole(scan.path, end, good_batch, scan.tail.end_offset):
        return None
    return _wrong(scan, f"and a valid batch follows at {good_batch}" if good_batch > end else "and the batch is right")


def _judge(scan: _Scan, durable_position: int, data_end: int) -> RecoveryReport:
    """The decision table."""
    end = scan.tail.position
    report = RecoveryReport("clean", scan.path, scan.start, end - scan.start)
    damage = _damage(scan, durable_position, data_end)
    if damage is not None:
        return report._replace(outcome="damaged", damage=damage)
    if end == scan.size:
        return report
    if end == data_end:
        return report._replace(outcome="trimmed")
    return report._replace(outcome="truncated", truncated_at=end, truncated_bytes=data_end - end)


def _missing(directory: Path, checkpoint: Checkpoint) -> Recovered:
    """The state if the last segment is missing: nothing can be appended, and the records before it can be read."""
    base_offset = checkpoint.segment_base
    path = names.segment_file(directory, base_offset)
    reason = f"the segment is missing, but {checkpoint.position} bytes of it were on disk"
    bases = files.segment_bases(directory)
    tail = new_tail(base_offset)
    tail.end_offset = checkpoint.offset
    start_offset = promised_start(directory, bases or [base_offset], checkpoint.offset)
    report = RecoveryReport("damaged", path, damage=damaged(path, 0, reason, base_offset))
    return Recovered(tail, start_offset, 0, 0, report)


def _promised_end(scan: _Scan, data_end: int, checkpoint: Checkpoint | None) -> int:
    """The end offset of a partition whose last segment is damaged: after what was on disk, and after its valid batches."""
    end: int = max(scan.tail.end_offset, checkpoint.offset if checkpoint is not None else 0)
    end = max(end, end_of_foreign(scan.path, scan.tail.position, scan.tail.end_offset))
    position: int | None = scan.tail.position
    while position is not None and (position := find_batch(scan.path, position, data_end, end)) is not None:
        with open(scan.path, "rb") as file:
            batch, _ = read_header(file.fileno(), position)
        assert batch is not None
        end, position = batch.next_offset, batch.end
    return end


def recover(
    directory: Path, removed: Path, checkpoint: Checkpoint | None, interval_bytes: int, *, change: bool = True
) -> Recovered:
    """Find the end of a partition and make it clean.

    `checkpoint` is the last known durable position. With `change` False nothing is written: for a process that joins a
    partition that another process found to be damaged."""
    bases = files.segment_bases(directory)
    if not bases or (checkpoint is not None and checkpoint.segment_base > bases[-1]):
        return _missing(directory, checkpoint or Checkpoint(0, 0, 0))
    base = bases[-1]
    durable_position = checkpoint.position if checkpoint and checkpoint.segment_base == base else 0
    scan = _scan_segment(directory, base, durable_position, interval_bytes)
    data_end = find_data_end(scan.path, scan.tail.position, scan.size)
    report = _judge(scan, durable_position, data_end)
    if change and report.damage is None:
        if report.outcome == "truncated":
            report = report._replace(kept_at=_set_aside(scan, removed, data_end))
        _cut(scan)
        if report.outcome == "truncated":
            begin_epoch(directory, scan.tail.end_offset)
    epochs = read_epochs(directory)
    allocated = scan.size if report.damage is not None else scan.tail.position
    if report.damage is not None:
        scan.tail.end_offset = _promised_end(scan, data_end, checkpoint)
    start_offset = promised_start(directory, bases, scan.tail.end_offset)
    return Recovered(scan.tail, start_offset, epochs[-1][0] if epochs else 0, allocated, report)
