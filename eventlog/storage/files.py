"""Files and directories: private, and durable together with their names."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from eventlog.errors import DiskFullError, EventLogError, StoreOpenError
from eventlog.storage import names

DIRECTORY_MODE = 0o700
FILE_MODE = 0o600

# A map shared between hosts is no shared memory, and their locks are advisory at best.
_NETWORK_FILE_SYSTEMS = frozenset(
    {"9p", "afs", "ceph", "cifs", "coda", "gfs2", "glusterfs", "lustre", "ncpfs", "nfs", "nfs4", "ocfs2", "orangefs"}
    | {"smb3", "smbfs", "fuse.ceph", "fuse.glusterfs", "fuse.s3fs", "fuse.sshfs"}
)


@contextmanager
def failures_told(what: str) -> Iterator[None]:
    """Let an `OSError` become `DiskFullError` or `EventLogError`, with what could not be done."""
    try:
        yield
    except OSError as error:
        kind = DiskFullError if error.errno in (errno.ENOSPC, errno.EDQUOT) else EventLogError
        raise kind(f"{what}: {error}") from error


def sync_directory(directory: Path) -> None:
    """Make the names in a directory durable."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_directory(directory: Path) -> None:
    """Create a private directory, durably; its parent must exist. An existing one is left as it is."""
    try:
        directory.mkdir(mode=DIRECTORY_MODE)
    except FileExistsError:
        return
    sync_directory(directory.parent)


def replace_file(path: Path, blocks: Iterable[bytes]) -> None:
    """Write a file so that either the old or the new content is there after a crash."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, FILE_MODE)
    try:
        with open(descriptor, "wb") as file:
            file.writelines(blocks)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def size_of(path: Path) -> int:
    """The length of a file in bytes; 0 if it was deleted meanwhile."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def segment_bases(directory: Path) -> list[int]:
    """The base offsets of a partition's segments, in order."""
    bases = (names.parse_segment(name) for name in os.listdir(directory))
    return sorted(base for base in bases if base is not None)


def delete_segment(directory: Path, base_offset: int) -> None:
    """Delete the files of a sealed segment, as far as they are there."""
    for suffix in names.SEGMENT_SUFFIXES:
        names.segment_file(directory, base_offset, suffix).unlink(missing_ok=True)


def delete_directory(directory: Path) -> None:
    """Delete a directory of files, as far as it is there."""
    try:
        for name in os.listdir(directory):
            (directory / name).unlink(missing_ok=True)
        directory.rmdir()
    except FileNotFoundError:
        return
    sync_directory(directory.parent)


def file_system_type(path: Path, mounts: Path = Path("/proc/self/mountinfo")) -> str:
    """The type of the file system that holds `path`, such as "ext4"; "" where it cannot be told.

    Source of the format: proc(5), /proc/pid/mountinfo."""
    device = path.stat().st_dev
    wanted = f"{os.major(device)}:{os.minor(device)}"
    try:
        lines = mounts.read_text(errors="surrogateescape").splitlines()
    except OSError:
        return ""
    for line in lines:
        fields, _, rest = line.partition(" - ")
        if fields.split()[2] == wanted and rest:
            return rest.split()[0]
    return ""


def refuse_network_file_system(path: Path) -> None:
    """Raise `StoreOpenError` when `path` is on a file system that other hosts may share."""
    kind = file_system_type(path)
    if kind in _NETWORK_FILE_SYSTEMS:
        raise StoreOpenError(f"{path} is on a network file system ({kind}): eventlog needs a local disk")
