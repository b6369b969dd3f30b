"""Do all segments of a partition exist? Decided by their names and the end of each, without reading records."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

from eventlog.errors import CorruptLogError
from eventlog.storage.segments import files, names
from eventlog.storage.segments.damage import damaged, gap
from eventlog.storage.segments.headers import offset_behind
from eventlog.storage.segments.inspection import position_near
from eventlog.storage.segments.start import missing_beginning


def check_segments(directory: Path, start_offset: int, *, may_have_gaps: bool) -> None:
    """Raise `CorruptLogError` if segments before another one are missing because they were removed from outside.

    No process may delete or replace segments meanwhile."""
    bases = files.segment_bases(directory)
    missing = missing_beginning(bases[0], start_offset) if bases else None
    if missing is not None:
        raise damaged(directory, 0, missing, start_offset)
    for base, following in pairwise(bases) if not may_have_gaps else ():
        path = names.segment_file(directory, base)
        size = files.size_of(path)
        end = max(base, offset_behind(path, position_near(path, following - 1), size))
        if end < following:
            raise damaged(path, size, gap(end, following), end)


def missing_segment(directory: Path, start_offset: int, *, may_have_gaps: bool) -> CorruptLogError | None:
    """The error that `check_segments` would raise, or None."""
    try:
        check_segments(directory, start_offset, may_have_gaps=may_have_gaps)
    except CorruptLogError as error:
        return error
    return None
