"""Rebuilding those damaged files of a partition that can be rebuilt: the indexes of sealed segments, and the checkpoints."""

from __future__ import annotations

from pathlib import Path

from eventlog.errors import CorruptLogError
from eventlog.storage.mapped.head_health import wrong_indexes
from eventlog.storage.partition.log import PartitionLog
from eventlog.storage.segments import files, names
from eventlog.storage.segments.checkpoints import checked_checkpoint, write_checkpoint
from eventlog.storage.segments.indexing import rebuild_indexes
from eventlog.storage.segments.producer_snapshots import rebuild_aborted_index
from eventlog.storage.segments.swap import remove_leftovers


def find_rotten(directory: Path) -> list[Path]:
    """Indexes of sealed segments that are missing or torn, and damaged checkpoints."""
    return [*wrong_indexes(directory), *_wrong_checkpoints(directory)]


def rebuild_rotten(log: PartitionLog, interval_bytes: int) -> list[Path]:
    """Rebuild these files, and remove the leftovers of a killed compaction; returns the rebuilt files.

    The caller must be the only one that compacts. Raises `LockTimeoutError`, `CorruptLogError`."""
    with log.locked():
        remove_leftovers(log.directory)
        indexes, checkpoints = wrong_indexes(log.directory), _wrong_checkpoints(log.directory)
        for path in checkpoints:
            if path.name == names.START_CHECKPOINT:
                write_checkpoint(path, log.topic, log.partition, log.start_offset)
            else:
                path.unlink(missing_ok=True)  # compaction starts again
    for base, is_of_aborted in sorted({(int(path.stem), path.suffix == names.ABORTED_INDEX_SUFFIX) for path in indexes}):
        with log.locked():  # one at a time: a large segment takes a while, and others need the lock
            if files.is_there(names.segment_file(log.directory, base)):
                if is_of_aborted:
                    rebuild_aborted_index(log.directory, base)
                else:
                    rebuild_indexes(log.directory, base, interval_bytes)
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
