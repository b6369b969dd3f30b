"""Deleting the beginning of a partition: records before an offset, and the segments that hold nothing else.

The order makes every moment right. The new start is on disk first; then readers are told; then files go, the oldest first. A
power cut that keeps an old segment and loses a younger one leaves what lies before the start, and nobody looks there.
"""

from __future__ import annotations

import errno
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from eventlog._native import lib
from eventlog.errors import DiskFullError
from eventlog.storage.partition.parts import Parts
from eventlog.storage.segments import files, names
from eventlog.storage.segments.checkpoints import checkpoint_bytes, write_checkpoint
from eventlog.storage.segments.epochs import epochs_bytes, read_epochs


class Deleted(NamedTuple):
    """What was deleted: whole segments, and their bytes. The log starts at `start_offset` now."""

    start_offset: int
    segments: int
    size_bytes: int


def delete_before(parts: Parts, offset: int) -> Deleted:
    """Let the partition begin at `offset`, which is on disk. The caller has its segments locked. Raises `DiskFullError`."""
    tail = parts.appender.tail()
    if offset >= tail.end_offset and tail.position > 0:
        parts.appender.roll()  # so that the file with the last of these records can go, too
    start_offset = max(offset, int(lib.el_head_start_offset(parts.head.pointer)))
    is_noted = _note_start(parts, start_offset)
    lib.el_head_advance_start(parts.head.pointer, parts.signals.pointer, start_offset)
    doomed = _segments_before(parts.directory, start_offset, parts.appender.tail().segment_base)
    size_bytes = 0
    for base in doomed:
        size_bytes += files.size_of(names.segment_file(parts.directory, base))
        files.delete_segment(parts.directory, base)
        if not is_noted:
            files.sync_directory(parts.directory)  # what is not noted must go in order
    if doomed:
        lib.el_head_segments_changed(parts.head.pointer)
        files.sync_directory(parts.directory)
    if not is_noted and not _note_start(parts, start_offset) and (not doomed or _has_rest(parts.directory, start_offset)):
        raise DiskFullError(f"no space in {parts.directory} to note that {parts} starts at {start_offset} now")
    return Deleted(start_offset, len(doomed), size_bytes)


def _note_start(parts: Parts, start_offset: int) -> bool:
    """Store where the log starts; False on a full disk, where deleting segments is what makes room for it."""
    try:
        write_checkpoint(parts.directory / names.START_CHECKPOINT, parts.topic, parts.partition, start_offset)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        with suppress(OSError):
            _note_in_place(parts, start_offset)
        return False
    return True


def _note_in_place(parts: Parts, start_offset: int) -> None:
    """Write the new start over the old one, which takes no room: else whoever comes next would miss the segments that go."""
    path = parts.directory / names.START_CHECKPOINT
    if files.is_there(path):
        files.overwrite(path, checkpoint_bytes(parts.topic, parts.partition, start_offset))
    else:
        epochs = [(epoch, max(start, start_offset)) for epoch, start in read_epochs(parts.directory)]
        files.overwrite(parts.directory / names.EPOCH_CHECKPOINT, epochs_bytes(epochs))


def _segments_before(directory: Path, start_offset: int, active_base: int) -> list[int]:
    bases = files.segment_bases(directory)
    return [base for base, following in pairwise(bases) if following <= start_offset and base < active_base]


def _has_rest(directory: Path, start_offset: int) -> bool:
    """Does the first segment hold records before the start?"""
    return files.segment_bases(directory)[0] < start_offset
