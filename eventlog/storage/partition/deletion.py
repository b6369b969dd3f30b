"""Deleting the beginning of a partition: records before an offset, and the segments that hold nothing else.

The order keeps the partition consistent at every moment. First the new start is on disk; then readers are notified; then files
are deleted, the oldest first. A power cut that keeps an old segment and loses a newer one leaves only data before the start,
which is never read.
"""

from __future__ import annotations

import errno
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from eventlog.errors import DiskFullError
from eventlog.storage.partition.log import PartitionLog
from eventlog.storage.segments import files, names
from eventlog.storage.segments.checkpoints import checkpoint_bytes, write_checkpoint
from eventlog.storage.segments.epochs import epochs_bytes, read_epochs


class Deleted(NamedTuple):
    """The number of deleted segments and of their bytes. The log now starts at `start_offset`."""

    start_offset: int
    segments: int
    size_bytes: int


def delete_before(log: PartitionLog, offset: int) -> Deleted:
    """Make the partition start at `offset`, in every process, and delete the segments before it.

    Raises `LockTimeoutError`, `DiskFullError`, and `CorruptLogError`: a damaged partition is not changed."""
    log.flush(offset)  # a power cut must not leave a log that ends before its start
    with log.locked():
        return _delete_locked(log, offset)


def _delete_locked(log: PartitionLog, offset: int) -> Deleted:
    active = log.active_segment()
    if offset >= active.end_offset and active.log_bytes > 0:
        log.roll()  # so that the file with the last of these records can be deleted, too
    start_offset = max(offset, log.start_offset)
    is_noted = _note_start(log, start_offset)
    log.advance_start(start_offset)
    doomed = _segments_before(log.directory, start_offset, log.active_segment().base_offset)
    size_bytes = 0
    for base in doomed:
        size_bytes += files.size_of(names.segment_file(log.directory, base))
        files.delete_segment(log.directory, base)
        if not is_noted:
            files.sync_directory(log.directory)  # without a stored start, the files must be deleted in order
    if doomed:
        log.segments_changed()
        files.sync_directory(log.directory)
    if not is_noted and not _note_start(log, start_offset) and (not doomed or _has_rest(log.directory, start_offset)):
        raise DiskFullError(f"no space in {log.directory} to note that {log} starts at {start_offset} now")
    return Deleted(start_offset, len(doomed), size_bytes)


def _note_start(log: PartitionLog, start_offset: int) -> bool:
    """Store where the log starts; False if the disk is full, so that segments must be deleted first to make room."""
    try:
        write_checkpoint(log.directory / names.START_CHECKPOINT, log.topic, log.partition, start_offset)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        with suppress(OSError):
            _note_in_place(log, start_offset)
        return False
    return True


def _note_in_place(log: PartitionLog, start_offset: int) -> None:
    """Overwrite the old start with the new one, which takes no space: otherwise the next process to open the partition would
    report the deleted segments as missing."""
    path = log.directory / names.START_CHECKPOINT
    if files.is_there(path):
        files.overwrite(path, checkpoint_bytes(log.topic, log.partition, start_offset))
    else:
        epochs = [(epoch, max(start, start_offset)) for epoch, start in read_epochs(log.directory)]
        files.overwrite(log.directory / names.EPOCH_CHECKPOINT, epochs_bytes(epochs))


def _segments_before(directory: Path, start_offset: int, active_base: int) -> list[int]:
    bases = files.segment_bases(directory)
    return [base for base, following in pairwise(bases) if following <= start_offset and base < active_base]


def _has_rest(directory: Path, start_offset: int) -> bool:
    """Does the first segment still hold records before the start?"""
    return files.segment_bases(directory)[0] < start_offset
