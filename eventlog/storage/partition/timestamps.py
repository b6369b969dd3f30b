"""Finding the first record at or after a point in time, with the time index as a hint."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

from eventlog.errors import CorruptLogError
from eventlog.records.record import Record
from eventlog.storage.partition.reader import LogReader
from eventlog.storage.partition.segment_list import SegmentList
from eventlog.storage.segments import index, names
from eventlog.storage.segments.headers import behind, largest_timestamp
from eventlog.storage.segments.index import TimeIndexEntry
from eventlog.storage.segments.inspection import end_of_named_batch, names_its_batch

_CHUNK_RECORDS = 500


def record_for_time(
    directory: Path, segments: SegmentList, reader: LogReader, timestamp: int, start: int, end: int
) -> Record | None:
    """The first record with an offset in [start, end) that has a timestamp at or after `timestamp`, or None."""
    if start >= end:
        return None
    bases = segments.bases()
    offset = _begin_at(directory, segments, timestamp) if bases else start
    if offset >= end:
        return None
    offset = start if bases and offset == bases[0] else max(start, offset)  # if the beginning is missing, the reader reports it
    reader.seek(offset)
    while records := reader.records(_CHUNK_RECORDS, end):
        for record in records:
            if record.timestamp >= timestamp:
                return record
    return None


def largest_timestamp_before(directory: Path, bases: list[int], start: int, stop: int) -> int:
    """The largest timestamp in the sealed segments that have records from `start` on, before the segment at `stop`; it may be
    that of a record before `start`. -1: there is none. Raises `CorruptLogError`."""
    sealed = [base for base in bases if base < stop]
    kept = [base for base, following in pairwise([*sealed, stop]) if following > start]
    return max((_largest_in(names.segment_file(directory, base), base) for base in kept), default=-1)


def _largest_in(path: Path, base: int) -> int:
    try:
        last = index.last_time_entry(path.with_suffix(names.TIME_INDEX_SUFFIX), base)
        position = end_of_named_batch(path, last) if last is not None else None
        if last is None or position is None:
            return largest_timestamp(path)
        return max(last.timestamp, behind(path, position).largest_timestamp)  # the index may have lost entries
    except FileNotFoundError:  # retention has just deleted the segment
        return -1


def _begin_at(directory: Path, segments: SegmentList, timestamp: int) -> int:
    """An offset before which every record is older; sealed segments that contain only older records are skipped.

    If a segment in between is missing, this is the first missing offset: the record might have been in that segment."""
    bases = segments.bases()
    end = bases[0]
    for base in bases:
        if base > end and not segments.may_have_gaps:
            return end
        older_end = _end_if_older(directory, segments, base, timestamp) if base != bases[-1] else None
        if older_end is None:
            return _floor(directory, segments, base, timestamp)
        end = older_end
    return end


def _end_if_older(directory: Path, segments: SegmentList, base: int, timestamp: int) -> int | None:
    """The offset after a sealed segment that contains only older records; None if it does not.

    A time index that lost its last entry covers only the batches up to the entry before; so the rest is examined."""
    path = names.segment_file(directory, base)
    last = index.last_time_entry(path.with_suffix(names.TIME_INDEX_SUFFIX), base)
    if last is None or last.timestamp >= timestamp or not _is_right(directory, segments, base, last):
        return None
    try:
        position = end_of_named_batch(path, last)
        rest = None if position is None else behind(path, position)
    except (OSError, CorruptLogError):
        return None
    if rest is None or rest.largest_timestamp >= timestamp:
        return None
    return max(rest.end_offset, last.offset + 1)


def _floor(directory: Path, segments: SegmentList, base: int, timestamp: int) -> int:
    path = names.segment_file(directory, base, names.TIME_INDEX_SUFFIX)
    entry = index.floor_time_entry(path, base, timestamp)
    return base if entry is None or not _is_right(directory, segments, base, entry) else entry.offset + 1


def _is_right(directory: Path, segments: SegmentList, base: int, entry: TimeIndexEntry) -> bool:
    """Does the batch that the entry points to end at its offset and hold its timestamp? Not if the entry is damaged."""
    try:
        is_right = names_its_batch(names.segment_file(directory, base), entry)
    except OSError:
        return False
    if not is_right:
        segments.index_lies(base)
    return is_right
