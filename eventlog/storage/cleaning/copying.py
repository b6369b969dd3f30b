"""Copying a partition's files while others append: sealed segments are linked if possible, the rest is copied.

A sealed file is never changed in place, only deleted or replaced as a whole, so the content of a link to it does not change.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from eventlog.access import open_file
from eventlog.records.checksum import checksum_of
from eventlog.storage.partition.log import ActiveSegment, PartitionLog
from eventlog.storage.segments import files, names
from eventlog.storage.segments.continuity import check_segments
from eventlog.storage.segments.damage import damaged

_BLOCK_BYTES = 2**20
_SUFFIXES = (names.INDEX_SUFFIX, names.TIME_INDEX_SUFFIX, names.ABORTED_INDEX_SUFFIX, names.LOG_SUFFIX)
# Another file system, one without links, too many links, or a file of another user if the kernel protects hard links.
_NO_LINKS = frozenset({errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EACCES})


class CopiedFile(NamedTuple):
    """A file of a copy: its name, its length, the CRC32C of its bytes, and whether it is a link to the original."""

    name: str
    size_bytes: int
    crc32c: int
    is_link: bool


class CopiedPartition(NamedTuple):
    """The files that hold the records from `start_offset` up to, not including, `end_offset`."""

    start_offset: int
    end_offset: int
    files: list[CopiedFile]


def copy_partition(log: PartitionLog, destination: Path, *, link: bool) -> CopiedPartition:
    """Copy a partition as it is at one moment to a new directory, durably; with `link`, sealed segments are linked.

    Meanwhile segments are not deleted or replaced; appends continue. Raises `LockTimeoutError`, `FileNotFoundError` if the
    partition was deleted, `CorruptLogError` if the active segment was cut or others are missing, and `OSError`."""
    copied: list[CopiedFile] = []
    linked: list[str] = []
    files.make_directory(destination)
    log.save_producers()
    with log.locked():
        active = log.active_segment()
        start_offset = log.start_offset
        check_segments(log.directory, start_offset, may_have_gaps=log.may_have_gaps)
        for source, length in _sources(log.directory, active):
            target = destination / source.name
            if length is None and link and _link(source, target):
                linked.append(source.name)
            else:
                copied.append(copy_file(source, target, length))
    for name in linked:
        copied.append(CopiedFile(name, *checksum(destination / name), True))
    sync_files(destination / file.name for file in copied)
    files.sync_directory(destination)
    return CopiedPartition(start_offset, active.end_offset, sorted(copied))


def _sources(directory: Path, active: ActiveSegment) -> Iterator[tuple[Path, int | None]]:
    """The files to copy, and how many bytes of each; None: all of a sealed file."""
    for base in files.segment_bases(directory):
        for suffix in _SUFFIXES if base < active.base_offset else ():
            path = names.segment_file(directory, base, suffix)
            if suffix == names.LOG_SUFFIX or files.is_there(path):
                yield path, None
    lengths = (active.index_bytes, active.time_index_bytes, active.aborted_index_bytes, active.log_bytes)
    for suffix, length in zip(_SUFFIXES, lengths, strict=True):
        path = names.segment_file(directory, active.base_offset, suffix)
        if suffix == names.LOG_SUFFIX or files.is_there(path):
            yield path, length
    for name in sorted(os.listdir(directory)):
        if name.endswith((names.CHECKPOINT_SUFFIX, names.SNAPSHOT_SUFFIX)):
            yield directory / name, files.size_of(directory / name)


def _link(source: Path, target: Path) -> bool:
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError as error:
        if error.errno in _NO_LINKS:
            return False
        raise
    return True


def copy_file(source: Path, target: Path, length: int | None = None) -> CopiedFile:
    """Copy a file, or its first `length` bytes, to a new private file, which must still be synced.

    Raises `CorruptLogError` if it is shorter, and `OSError`."""
    crc32c = size_bytes = 0
    descriptor = open_file(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    with open(descriptor, "wb") as output, open(source, "rb") as file:
        while block := file.read(_BLOCK_BYTES if length is None else min(_BLOCK_BYTES, length - size_bytes)):
            crc32c = checksum_of(block, crc32c)
            size_bytes += len(block)
            output.write(block)
        if length is not None and size_bytes < length:
            raise damaged(source, size_bytes, f"it ends there, although {length} bytes of it were written")
    return CopiedFile(target.name, size_bytes, crc32c, False)


def sync_files(paths: Iterable[Path]) -> None:
    """Sync files to disk: one after another, once all are written, so that the file system can combine much of the work."""
    for path in paths:
        with open(path, "rb") as file:
            os.fdatasync(file.fileno())  # no work for a sealed segment that was only linked


def checksum(path: Path) -> tuple[int, int]:
    """The length and the CRC32C of a file."""
    crc32c = size_bytes = 0
    with open(path, "rb") as file:
        while block := file.read(_BLOCK_BYTES):
            crc32c = checksum_of(block, crc32c)
            size_bytes += len(block)
    return size_bytes, crc32c
