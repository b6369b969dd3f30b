"""Finding the first record at or after a point in time, with the time index as a hint."""

from __future__ import annotations

from pathlib import Path

from eventlog.errors import CorruptLogError
from eventlog.storage import index, names
from eventlog.storage.headers import largest_timestamp
from eventlog.storage.index import TimeIndexEntry
from eventlog.storage.inspection import end_of_named_batch, names_its_batch
from eventlog.storage.reader import LogReader, SegmentList

_CHUNK_RECORDS = 500


def offset_for_time(
    directory: Path, segments: SegmentList, reader: LogReader, timestamp: int, start: int, end: int
) -> int | None:
    """The first offset in [start, end) whose record has a timestamp at or after `timestamp`, or None."""
    offset = max(start, _begin_at(directory, segments, timestamp))
    if offset >= end:
        return None
    reader.seek(offset)
    while records := reader.records(_CHUNK_RECORDS, end):
        for record in records:
            if record.timestamp >= timestamp:
                return record.offset
    return None


def _begin_at(directory: Path, segments: SegmentList, timestamp: int) -> int:
    """An offset before which every record is older; sealed segments that are older as a whole are passed over."""
    bases = segments.bases()
    for base in bases[:-1]:
        if not _is_older(directory, segments, base, timestamp):
            return _floor(directory, segments, base, timestamp)
    return _floor(directory, segments, bases[-1], timestamp)


def _is_older(directory: Path, segments: SegmentList, base: int, timestamp: int) -> bool:
    """Is a sealed segment older as a whole? A time index that lost its last entry tells only about the batches up to the one
    before; so what stands behind that one is looked at."""
    path = names.segment_file(directory, base)
    last = index.last_time_entry(path.with_suffix(names.TIME_INDEX_SUFFIX), base)
    if last is None or last.timestamp >= timestamp or not _is_right(directory, segments, base, last):
        return False
    try:
        end = end_of_named_batch(path, last)
        return end is not None and largest_timestamp(path, end) < timestamp
    except (OSError, CorruptLogError):
        return False


def _floor(directory: Path, segments: SegmentList, base: int, timestamp: int) -> int:
    path = names.segment_file(directory, base, names.TIME_INDEX_SUFFIX)
    entry = index.floor_time_entry(path, base, timestamp)
    return base if entry is None or not _is_right(directory, segments, base, entry) else entry.offset + 1


def _is_right(directory: Path, segments: SegmentList, base: int, entry: TimeIndexEntry) -> bool:
    """Does the batch that the entry names end at this offset and hold this timestamp? A rotten entry does not."""
    try:
        is_right = names_its_batch(names.segment_file(directory, base), entry)
    except OSError:
        return False
    if not is_right:
        segments.index_lies(base)
    return is_right
