"""Inspecting files as they are: batches, records and index entries, and the verification of whole partitions.

Nothing here needs an open store or changes anything.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

from eventlog._native import BaseReader, ffi, lib
from eventlog.errors import (
    CorruptLogError,
    EventLogError,
    InvalidArgumentError,
    UnsupportedCodecError,
    UnsupportedFormatError,
)
from eventlog.records.compression import decompress
from eventlog.records.native_reader import new_native_reader
from eventlog.records.record import Record
from eventlog.storage.segments import files, index, names
from eventlog.storage.segments.aborted_check import AbortedCheck
from eventlog.storage.segments.batches import HEADER_BYTES, Batch, headers_from, parse_native, read_header, walk
from eventlog.storage.segments.checkpoints import checked_checkpoint
from eventlog.storage.segments.damage import damaged, gap
from eventlog.storage.segments.index import IndexEntry, TimeIndexEntry
from eventlog.storage.segments.start import missing_beginning

_NO_OFFSET = names.OFFSET_MAX + 1  # after the last segment


class Problem(NamedTuple):
    """What is wrong with a file, and where (in bytes)."""

    path: Path
    position: int
    reason: str


class VerifyReport(SimpleNamespace):
    """The result of verifying a partition's directory; `problems` is empty if nothing is wrong."""

    directory: Path
    segments: int
    batches: int
    records: int
    bytes: int
    problems: list[Problem]

    def __init__(self, directory: Path, *, bytes: int = 0) -> None:
        super().__init__(directory=directory, segments=0, batches=0, records=0, bytes=bytes, problems=[])

    def __reduce__(self) -> tuple[type[VerifyReport], tuple[Path], dict[str, Any]]:
        """Lets another process recreate the report, as process pools do."""
        return type(self), (self.directory,), vars(self)


def base_offset_of(path: Path) -> int:
    """The base offset in the name of a segment's file. Raises `InvalidArgumentError`."""
    base_offset = names.parse_segment(path.with_suffix(names.LOG_SUFFIX).name)
    if base_offset is None:
        raise InvalidArgumentError(f"{path.name} is not a segment file: its name is not 20 digits and a suffix")
    return base_offset


def iterate_raw_batches(path: Path, start_position: int = 0) -> Iterator[tuple[Batch, bytes]]:
    """Every batch of a .log file with its bytes, up to the zeros at the end.

    Raises `CorruptLogError` at anything else."""
    for block in walk(path, start_position, path.stat().st_size, names.parse_segment(path.name) or 0):
        yield from block.batches()
        if block.consumed == 0 and not any(block.data[:HEADER_BYTES]) and _is_blank(path, block.position):
            return


def _is_blank(path: Path, position: int) -> bool:
    with open(path, "rb") as file:
        file.seek(position)
        return all(block.count(0) == len(block) for block in iter(lambda: file.read(2**20), b""))


def iterate_batches(path: Path, *, start_position: int = 0) -> Iterator[Batch]:
    """The header of every batch of a .log file."""
    for batch, _ in iterate_raw_batches(path, start_position):
        yield batch


def iterate_records(path: Path, *, start_position: int = 0) -> Iterator[tuple[Batch, list[Record]]]:
    """Every batch of a .log file with its records (control batches included). Raises `CorruptLogError`."""
    topic_partition = names.parse_partition_directory(path.resolve().parent.name) or ("", 0)
    for info, data in iterate_raw_batches(path, start_position):
        if not info.crc_valid:
            raise damaged(path, info.position, "a batch whose CRC32C does not match")
        yield info, _decode(path, info, data, *topic_partition)


def _decode(path: Path, info: Batch, data: bytes, topic: str, partition: int) -> list[Record]:
    header, _ = parse_native(ffi.from_buffer("uint8_t[]", data), len(data))
    section = data[HEADER_BYTES:]
    try:
        section = decompress(info.codec, section) if info.codec else section
    except ValueError as error:
        raise damaged(path, info.position, str(error)) from error
    status = lib.el_batch_verify_records(ffi.from_buffer("uint8_t[]", section), len(section), header)
    records: list[Record] = []
    if status == lib.EL_CODEC_OK:
        native = new_native_reader(1)
        buffer = ffi.from_buffer("uint8_t[]", section)
        lib.el_reader_decode(native, header, buffer, len(section))
        reader = BaseReader(int(ffi.cast("uintptr_t", native)), native, Record, None, topic, partition)
        made = reader.take(records, info.record_count, info.last_offset + 1)
        if made == lib.EL_TAKEN_NO_MEMORY:
            raise MemoryError("memory ran out while records were decoded")
        status = lib.EL_CODEC_OK if made == info.record_count else native.codec_status
    if status != lib.EL_CODEC_OK:
        raise damaged(path, info.position, ffi.string(lib.el_codec_status_text(status)).decode())
    return records


def iterate_index(path: Path) -> Iterator[IndexEntry]:
    """The entries of an .index file."""
    yield from index.read_index(path, base_offset_of(path))


def iterate_time_index(path: Path) -> Iterator[TimeIndexEntry]:
    """The entries of a .timeindex file."""
    yield from index.read_time_index(path, base_offset_of(path))


class EpochEntry(NamedTuple):
    """A leader epoch and the offset at which it began."""

    leader_epoch: int
    start_offset: int


def iterate_epochs(path: Path) -> Iterator[EpochEntry]:
    """The entries of a leader-epoch-checkpoint. Raises `CorruptLogError` if it contains anything else.

    Source of the format: Kafka's CheckpointFile; a version, the number of entries, and a line for each."""
    data = path.read_bytes()
    match = re.fullmatch(rb"0\n([0-9]{1,10})\n((?:[0-9]{1,10} [0-9]{1,19}\n)*)", data)
    if match is None:
        raise damaged(path, 0, "not a list of leader epochs, which is version 0, a count, and lines of an epoch and an offset")
    entries = [EpochEntry(*map(int, line.split())) for line in match[2].splitlines()]
    if len(entries) != int(match[1]):
        raise damaged(path, 2, f"it claims {int(match[1])} entries, but has {len(entries)}")
    yield from entries


def segments_from(directory: Path, offset: int) -> list[Path]:
    """The .log files of a partition's directory, in order, starting with the one that holds `offset`."""
    bases = files.segment_bases(directory)
    first = max(bisect_right(bases, offset) - 1, 0)
    return [names.segment_file(directory, base) for base in bases[first:]]


def position_near(path: Path, offset: int) -> int:
    """The position of a batch in a .log file. No batch after it ends before `offset`, though earlier batches may lie between:
    the index gives the position, if its entry is right."""
    base = names.parse_segment(path.name)
    if base is None:
        return 0
    near = index.floor_entry(path.with_suffix(names.INDEX_SUFFIX), base, offset)
    return near.position if near is not None and names_its_batch(path, near) else 0


def names_its_batch(path: Path, entry: IndexEntry | TimeIndexEntry) -> bool:
    """Does the .log file at `path` contain the batch that an index entry points to, where and as the entry says?

    Only headers are examined, not whether the records after them are valid."""
    return end_of_named_batch(path, entry) is not None


def end_of_named_batch(path: Path, entry: IndexEntry | TimeIndexEntry) -> int | None:
    """The position after the batch that an index entry points to; None if it is not where and as the entry says."""
    with open(path, "rb", buffering=0) as file:
        if isinstance(entry, IndexEntry):
            batch, _ = read_header(file.fileno(), entry.position)
            return batch.end if batch is not None and batch.last_offset == entry.offset else None
        for batch in headers_from(file.fileno(), position_near(path, entry.offset)):
            if batch.last_offset >= entry.offset:
                is_named = batch.last_offset == entry.offset and batch.max_timestamp == entry.timestamp
                return batch.end if is_named else None
    return None


def verify_partition(directory: Path, start_offset: int, end_offset: int | None, *, may_have_gaps: bool) -> VerifyReport:
    """Check every batch, record and index entry of a partition's directory, up to `end_offset` (None: all of them).

    Segments with records before `start_offset` only are skipped: they are about to be deleted.
    Offsets need not be consecutive if the partition `may_have_gaps`."""
    report = VerifyReport(directory)
    bases = files.segment_bases(directory)
    bases = [base for base, following in pairwise([*bases, _NO_OFFSET]) if following > start_offset]
    if not bases:
        report.problems.append(Problem(directory, 0, "there is no segment"))
    next_offset = bases[0] if bases else 0
    transactions = AbortedCheck(directory, next_offset, may_have_gaps=may_have_gaps)
    if bases and (missing := missing_beginning(bases[0], start_offset)) is not None:
        report.problems.append(Problem(directory, 0, missing))
    for base, following in pairwise([*bases, _NO_OFFSET]):
        path = names.segment_file(directory, base)
        report.segments += 1
        if base < next_offset or (base > next_offset and not may_have_gaps):
            reason = f"it begins at offset {base}, but the segment before it ends at {next_offset}"
            report.problems.append(Problem(path, 0, gap(next_offset, base) if base > next_offset else reason))
        next_offset = max(next_offset, base)
        if end_offset is None or base < end_offset:
            next_offset = _verify_segment(report, path, range(base, following), end_offset, may_have_gaps, transactions)
    report.problems += _checkpoint_problems(directory)
    if bases and end_offset is not None and next_offset < end_offset and not _is_log_wrong(report):
        report.problems.append(Problem(path, path.stat().st_size, f"it ends at offset {next_offset}, before {end_offset}"))
    return report


def _is_log_wrong(report: VerifyReport) -> bool:
    return any(problem.path.suffix == names.LOG_SUFFIX for problem in report.problems)


def _checkpoint_problems(directory: Path) -> Iterator[Problem]:
    for check, name in (
        (checked_checkpoint, names.START_CHECKPOINT),
        (checked_checkpoint, names.CLEANER_CHECKPOINT),
        (checked_checkpoint, names.TOMBSTONE_CHECKPOINT),
        (lambda path: list(iterate_epochs(path)), names.EPOCH_CHECKPOINT),
    ):
        try:
            check(directory / name)
        except FileNotFoundError:
            continue
        except CorruptLogError as error:
            yield Problem(error.path, error.position, error.reason)


def _verify_segment(
    report: VerifyReport, path: Path, offsets: range, end_offset: int | None, may_have_gaps: bool, transactions: AbortedCheck
) -> int:
    base = next_offset = offsets.start
    batches: dict[int, Batch] = {}
    topic, partition = names.parse_partition_directory(report.directory.name) or ("", 0)
    try:
        for info, data in iterate_raw_batches(path):
            if info.base_offset < next_offset or (info.base_offset > next_offset and not may_have_gaps):
                reason = f"offset {info.base_offset} comes after {next_offset - 1}"
                is_gap = info.base_offset > next_offset and info.crc_valid
                raise damaged(path, info.position, gap(next_offset, info.base_offset) if is_gap else reason)
            if info.last_offset >= offsets.stop:
                raise damaged(path, info.position, f"offset {info.last_offset} belongs in a later segment")
            if end_offset is not None and info.base_offset >= end_offset:
                break  # perhaps an append in progress
            if not info.crc_valid:
                report.problems.append(Problem(path, info.position, "a batch whose CRC32C does not match"))
            else:
                _verify_records(report, path, info, data, topic, partition)
                transactions.add(info, data)
            next_offset = info.last_offset + 1
            batches[info.position] = info
            report.batches += 1
            report.bytes += info.size_bytes
            if next_offset == end_offset:
                break
    except UnsupportedFormatError as error:
        report.problems.append(Problem(path, error.position, f"not checked: {error.reason}"))
        return offsets.stop if offsets.stop < _NO_OFFSET else next_offset
    except CorruptLogError as error:
        report.problems.append(Problem(path, error.position, error.reason))
        return next_offset
    stop = _NO_OFFSET if next_offset != end_offset else next_offset  # an entry after it belongs to an append in progress
    by_last_offset = {info.last_offset: info for info in batches.values()}
    _verify_indexes(report, path, base, batches, by_last_offset, stop)
    if not _is_log_wrong(report):
        report.problems += (Problem(*wrong) for wrong in transactions.wrong_entries(base, stop, by_last_offset))
    return next_offset


def _verify_records(report: VerifyReport, path: Path, info: Batch, data: bytes, topic: str, partition: int) -> None:
    try:
        report.records += len(_decode(path, info, data, topic, partition))
    except CorruptLogError as error:
        report.problems.append(Problem(path, info.position, error.reason))
    except UnsupportedCodecError as error:
        report.problems.append(Problem(path, info.position, f"not checked: {error}"))
    except EventLogError as error:
        report.problems.append(Problem(path, info.position, str(error)))


def _verify_indexes(
    report: VerifyReport, path: Path, base: int, batches: dict[int, Batch], by_last_offset: dict[int, Batch], stop: int
) -> None:
    index_path = path.with_suffix(names.INDEX_SUFFIX)
    for number, entry in enumerate(index.read_index(index_path, base)):
        info = batches.get(entry.position)
        if entry.offset < stop and (info is None or info.last_offset != entry.offset):
            report.problems.append(Problem(index_path, number * index.ENTRY.size, f"{entry} does not point at a batch"))
    time_index_path = path.with_suffix(names.TIME_INDEX_SUFFIX)
    for number, time_entry in enumerate(index.read_time_index(time_index_path, base)):
        info = by_last_offset.get(time_entry.offset)
        if time_entry.offset < stop and (info is None or info.max_timestamp != time_entry.timestamp):
            position = number * index.TIME_ENTRY.size
            report.problems.append(Problem(time_index_path, position, f"{time_entry} does not point at a batch"))
