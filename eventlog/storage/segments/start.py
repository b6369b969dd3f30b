"""Where a partition starts, and whether its first records still exist."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from eventlog.storage.segments import files, names
from eventlog.storage.segments.checkpoints import read_checkpoint
from eventlog.storage.segments.epochs import read_epochs


def promised_start(directory: Path, bases: Sequence[int], end_offset: int) -> int:
    """The offset that a partition with these segments starts at: the one stored when records were deleted or, before any were,
    the start of its first leader epoch.

    If it is before the first segment, segments were removed from outside."""
    noted = read_checkpoint(directory / names.START_CHECKPOINT)
    if noted is not None:
        return min(noted, end_offset)
    epochs = read_epochs(directory)
    return min(bases[0], epochs[0][1]) if epochs else bases[0]


def start_of(directory: Path) -> int:
    """Like `promised_start`, for a directory, whatever its end offset is; 0 if it has no segment."""
    bases = files.segment_bases(directory)
    return promised_start(directory, bases, names.OFFSET_MAX) if bases else 0


def missing_beginning(first_base: int, start_offset: int) -> str | None:
    """The error message if the first segment begins after the start of the partition; None if it does not."""
    if first_base <= start_offset:
        return None
    return f"offsets {start_offset} to {first_base - 1} are missing: the segments that held them are gone"
