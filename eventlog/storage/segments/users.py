"""The users of a store, that is, the processes that have it open: the lock that all of them hold, and their namespaces.

Threads own mutexes by their thread ids, and LMDB's readers their slots by process id. Both are meaningful within one PID
namespace only: two containers that share a volume, each with a process 1, would mistake each other's locks for their own. So a
process that finds no other user stores its own namespaces in `shared/users`, and a later process from other namespaces is
refused before it has changed anything. The lock is a `flock` on the store's directory, which cannot be replaced without the
store.

What the last user leaves needs no clean-up: the robust mutexes of a dying thread are released in its own namespace, and LMDB
creates its table of readers again.
"""

from __future__ import annotations

import fcntl
import json
import os
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from eventlog._native import lib
from eventlog.access import new_file, open_file_into
from eventlog.errors import StoreOpenError
from eventlog.storage.segments import files, names
from eventlog.storage.segments.boot import boot_id
from eventlog.storage.segments.file_locks import lock_holders, lock_within

_NAMESPACES = Path("/proc/self/ns")
_NO_SUCH_NAMESPACE = "none"  # the kernel knows no such namespaces: all processes are in one
_NOTE_BYTES_MAX = 4096


class Origin(NamedTuple):
    """Where a process uses a store from: the boot of its machine, its PID namespace, and its time namespace, whose monotonic
    clock is used for the leases of members."""

    boot: str
    pid_namespace: str
    time_namespace: str


def own_origin() -> Origin:
    """The origin of this process. Do not cache it: a forked child may be elsewhere. Raises `OSError` if it cannot be found."""
    return Origin(boot_id().hex(), _namespace("pid"), _namespace("time"))


def _namespace(kind: str) -> str:
    try:
        return os.readlink(_NAMESPACES / kind)
    except FileNotFoundError:
        os.stat(_NAMESPACES)
        return _NO_SUCH_NAMESPACE


def try_alone(directory: int) -> bool:
    """Take the lock of a store's directory exclusively, if no other process has the store open; returns whether it did."""
    with suppress(BlockingIOError):
        fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False


def share(store: Path, directory: int, timeout_ms: int) -> None:
    """Take the shared lock, as one of the store's users. Raises `LockTimeoutError`."""
    lock_within(directory, fcntl.LOCK_SH, timeout_ms, f"has been opening {store}")


def leave(directory: int) -> None:
    """Release the lock, whichever it is."""
    fcntl.flock(directory, fcntl.LOCK_UN)


def is_noted(store: Path) -> bool:
    """Is it stored where the store is used from?"""
    return _noted_origin(names.users_file(store)) is not None


def note_origin(store: Path, origin: Origin) -> None:
    """Store where the store is used from. No other process has it open; if this one dies half way, the next one that is alone
    makes the note."""
    note = json.dumps(origin._asdict()).encode() + b"\n"
    file = new_file()
    try:
        open_file_into(file, names.users_file(store))
        with open(file[0], "r+b", closefd=False) as noted:
            if noted.read(_NOTE_BYTES_MAX) != note:
                noted.seek(0)
                noted.write(note)  # over the former one, which takes no space on a full disk
                noted.truncate()
    finally:
        lib.el_file_close(file)


def check_origin(store: Path, directory: int, origin: Origin) -> None:
    """Raise `StoreOpenError` if the store is used from elsewhere. The caller holds the shared lock."""
    noted = _noted_origin(names.users_file(store))
    if noted == origin:
        return
    if noted is None:
        raise StoreOpenError(
            f"{names.users_file(store)} was deleted or damaged while the store was open{_by(directory)}: no other process can "
            "open it; close the store in all processes, then open it again"
        )
    what = (
        "on another machine, or in another sandbox" if noted.boot != origin.boot
        else "in another PID namespace, such as that of another container" if noted.pid_namespace != origin.pid_namespace
        else "in another time namespace"
    )  # fmt: skip
    raise StoreOpenError(
        f"{store} is in use {what}: locks do not work across that boundary. Nothing was changed. Let the processes share their "
        "namespaces ('docker run --pid=container:NAME', 'shareProcessNamespace: true' in a Kubernetes pod), or open the store "
        "once the others have closed it (docs/containers.md)"
    )


def _noted_origin(path: Path) -> Origin | None:
    file = new_file()
    try:
        open_file_into(file, path, os.O_RDONLY)
        noted = json.loads(files.read_at(file[0], _NOTE_BYTES_MAX, 0))
        return Origin(*(str(noted[field]) for field in Origin._fields))
    except (FileNotFoundError, ValueError, KeyError, TypeError, RecursionError):
        return None
    finally:
        lib.el_file_close(file)


def _by(directory: int) -> str:
    others = [str(holder) for holder in lock_holders(directory) if holder != os.getpid()]
    return f" in process {', '.join(others)}" if others else ""
