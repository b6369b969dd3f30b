"""Files and directories: private, and durable together with their names."""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from eventlog._native import lib
from eventlog.access import PRIVATE_MODE, make_directory_in_store, new_file, open_existing_into, open_file, refuse_link
from eventlog.errors import StoreOpenError
from eventlog.holding import Holding
from eventlog.storage.segments import names

# A map shared between hosts is not shared memory, and their locks are advisory at best.
_NETWORK_FILE_SYSTEMS = frozenset(
    {"9p", "afs", "ceph", "cifs", "coda", "gfs2", "glusterfs", "lustre", "ncpfs", "nfs", "nfs4", "ocfs2", "orangefs"}
    | {"smb3", "smbfs", "fuse.ceph", "fuse.glusterfs", "fuse.s3fs", "fuse.sshfs"}
)


def close(descriptor: int) -> None:
    """Close a file. An error is ignored: whatever must be on disk was synced before, and the descriptor is closed anyway."""
    try:  # suppress() would need memory, and this is also called when memory has run out
        os.close(descriptor)
    except OSError:
        return


def opened_directory(directory: Path) -> Holding[int]:
    """A descriptor of a directory, for the duration of a block."""
    file = new_file()

    def open_it() -> int:
        open_existing_into(file, directory, os.O_RDONLY | os.O_DIRECTORY)
        return int(file[0])

    return Holding(open_it, functools.partial(lib.el_file_close, file))


def sync_directory(directory: Path) -> None:
    """Make the names in a directory durable."""
    with opened_directory(directory) as descriptor:
        os.fsync(descriptor)


def make_private_directory(directory: Path) -> None:
    """Create the directory of a store or a backup, durably, with its parents. An existing one is left unchanged.

    Even then its name is made durable: the process that created it may have died, or failed, before doing so."""
    directory.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError):
        directory.mkdir(mode=PRIVATE_MODE)
    sync_directory(directory.parent)


def make_directory(directory: Path) -> None:
    """Create a directory in a store, durably, or leave it unchanged; its parent must exist. A link is refused."""
    try:
        make_directory_in_store(directory)
    except FileExistsError:
        refuse_link(directory)
    sync_directory(directory.parent)


def read_at(descriptor: int, length: int, position: int) -> bytes:
    """The bytes of an open file from a position on, fewer only at its end: a single `pread` may return less than requested."""
    data = os.pread(descriptor, length, position)
    while len(data) < length and (more := os.pread(descriptor, length - len(data), position + len(data))):
        data += more
    return data


def replace_file(path: Path, blocks: Iterable[bytes]) -> None:
    """Write a file so that it has either the old or the new content after a crash."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.{threading.get_native_id()}.tmp")
    descriptor = open_file(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
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


def overwrite(path: Path, data: bytes) -> None:
    """Overwrite a small file in its existing block; it must not become shorter."""
    descriptor = open_file(path, os.O_WRONLY)
    try:
        os.pwrite(descriptor, data, 0)
    finally:
        close(descriptor)


def mode_of(path: Path) -> int | None:
    """The mode of what a path leads to, with its type, or None if there is nothing. A failed check is an `OSError`."""
    try:
        return path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None


def is_there(path: Path) -> bool:
    """Does a path exist? A failed check is an `OSError`, and not the answer False, which `Path.exists` gives in newer
    Pythons."""
    return mode_of(path) is not None


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
    """Delete those files of a sealed segment that exist."""
    for suffix in (*names.TRANSACTION_SUFFIXES, *names.SEGMENT_SUFFIXES):
        names.segment_file(directory, base_offset, suffix).unlink(missing_ok=True)


def delete_directory(directory: Path) -> None:
    """Delete a directory of files, or what is left of it; of a symbolic link, only the link."""
    if directory.is_symlink():
        directory.unlink(missing_ok=True)
    else:
        try:
            for name in os.listdir(directory):
                (directory / name).unlink(missing_ok=True)
            directory.rmdir()
        except FileNotFoundError:
            return
    sync_directory(directory.parent)


def file_system_type(path: Path, mounts: Path = Path("/proc/self/mountinfo")) -> str:
    """The type of the file system that holds `path`, such as "ext4"; "" if it cannot be found.

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
    """Raise `StoreOpenError` if `path` is on a file system that other hosts may share."""
    kind = file_system_type(path)
    if kind in _NETWORK_FILE_SYSTEMS:
        raise StoreOpenError(f"{path} is on a network file system ({kind}): eventlog needs a local disk")
