"""What of a partition's directory can be made anew when it is rotten: the indexes of sealed segments, and the checkpoints."""

from __future__ import annotations

import logging
from pathlib import Path

from eventlog._native import lib
from eventlog.errors import CorruptLogError, LockTimeoutError
from eventlog.storage.mapped.head_health import wrong_indexes
from eventlog.storage.partition.parts import Parts
from eventlog.storage.segments import files, names
from eventlog.storage.segments.checkpoints import checked_checkpoint, write_checkpoint
from eventlog.storage.segments.indexing import rebuild_indexes
from eventlog.storage.segments.lock import segments_locked
from eventlog.storage.segments.swap import remove_leftovers

_log = logging.getLogger("eventlog")

_READER_TIMEOUT_MS = 1  # a reader waits for nobody: it reads without an index as well


def find_rotten(directory: Path) -> list[Path]:
    """Indexes of sealed segments that are missing or torn, and checkpoints that are not what was written."""
    return [*wrong_indexes(directory), *_wrong_checkpoints(directory)]


def rebuild_rotten(parts: Parts, interval_bytes: int) -> list[Path]:
    """Make these files anew, and remove what a killed compaction has left: which files.

    The caller is the only one that compacts. Raises `LockTimeoutError`, `CorruptLogError`."""
    with parts.locked():
        remove_leftovers(parts.directory)
        indexes, checkpoints = wrong_indexes(parts.directory), _wrong_checkpoints(parts.directory)
        for path in checkpoints:
            if path.name == names.START_CHECKPOINT:
                start_offset = int(lib.el_head_start_offset(parts.head.pointer))
                write_checkpoint(path, parts.topic, parts.partition, start_offset)
            else:
                path.unlink(missing_ok=True)  # compaction begins anew
    for base in sorted({int(path.stem) for path in indexes}):
        with parts.locked():  # for one at a time: a large segment takes a while, and others want the lock
            if files.is_there(names.segment_file(parts.directory, base)):
                rebuild_indexes(parts.directory, base, interval_bytes)
    return [*indexes, *checkpoints]


def _wrong_checkpoints(directory: Path) -> list[Path]:
    wrong = []
    for name in (names.START_CHECKPOINT, names.CLEANER_CHECKPOINT, names.TOMBSTONE_CHECKPOINT):
        path = directory / name
        try:
            checked_checkpoint(path)
        except CorruptLogError:
            wrong.append(path)
    return wrong


def rebuild_lying_indexes(directory: Path, base_offset: int, interval_bytes: int) -> None:
    """Make the indexes of a segment anew of which an entry was found that names no batch, if it is a sealed one.

    If somebody has the segments locked, or the segment itself is not right, they stay as they are."""
    try:
        with segments_locked(directory, _READER_TIMEOUT_MS):
            if base_offset in files.segment_bases(directory)[:-1]:
                rebuild_indexes(directory, base_offset, interval_bytes)
                path = names.segment_file(directory, base_offset, names.INDEX_SUFFIX)
                _log.warning("%s or its time index was damaged: both were rebuilt from the segment", path)
    except (OSError, LockTimeoutError, CorruptLogError):
        return
