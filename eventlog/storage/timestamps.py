"""Finding the first record at or after a point in time, with the time index as a hint."""

from __future__ import annotations

from pathlib import Path

from eventlog.storage import index, names
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
    """An offset before which every record is older. Sealed segments whose last entry is older are passed over."""
    bases = segments.bases()
    for base in bases[:-1]:
        path = names.segment_file(directory, base, names.TIME_INDEX_SUFFIX)
        entries = index.last_time_entry(path, base)
        if entries is None or entries.timestamp >= timestamp:
            return _floor(directory, base, timestamp)
    return _floor(directory, bases[-1], timestamp)


def _floor(directory: Path, base: int, timestamp: int) -> int:
    path = names.segment_file(directory, base, names.TIME_INDEX_SUFFIX)
    entry = index.floor_time_entry(path, base, timestamp)
    return base if entry is None else entry.offset + 1
