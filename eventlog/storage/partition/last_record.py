"""Finding the last record: a log may end in a gap that compaction left, or in the marker of a transaction."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing

from eventlog.storage.partition.reader import LogReader

_CHUNK_RECORDS = 500


def last_record_end(open_reader: Callable[[], LogReader], start: int, end: int) -> int:
    """The offset after the last record between `start` and `end`; `start` if there are no records.

    It searches backwards in growing steps, and mostly finds the record at once.

    Raises `CorruptLogError`, `OffsetOutOfRangeError`."""
    span = 1
    while start < end:
        offset = max(start, end - span)
        with closing(open_reader()) as reader:
            reader.seek(offset)
            found = None
            while records := reader.records(_CHUNK_RECORDS, end):
                found = records[-1].offset + 1
        if found is not None:
            return found
        if offset == start:
            break
        span *= 2
    return start
