"""Who has a store open: one lock that all of them hold, and from which namespaces they do so.

Threads hold mutexes by their ids, and LMDB's readers their places by process id. Both mean something within one PID namespace
only: two containers that share a volume, each with a process 1, would take each other's locks for their own. So whoever finds
nobody else there notes its own namespaces in `shared/users`, and whoever comes later from elsewhere is refused, before it has
changed anything. The lock is a `flock` on the store's directory, which cannot be replaced without the store.

What the last user leaves needs no care: a thread that dies gives its robust mutexes back in its own namespace, and LMDB makes
its table of readers anew.
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
    """From where a process uses a store: the boot of its machine, its PID namespace, and its time namespace, whose monotonic
    clock the leases of members go by."""

    boot: str
    pid_namespace: str
    time_namespace: str


def own_origin() -> Origin:
    """That of this process. Not to be kept: a forked child may be elsewhere. Raises `OSError` where it cannot be told."""
    return Origin(boot_id().hex(), _namespace("pid"), _namespace("time"))


def _namespace(kind: str) -> str:
    try:
        return os.readlink(_NAMESPACES / kind)
    except FileNotFoundError:
        os.stat(_NAMESPACES)
        return _NO_SUCH_NAMESPACE


def try_alone(directory: int) -> bool:
    """Hold the lock of a store's directory exclusively, if nobody else has the store open."""
    with suppress(BlockingIOError):
        fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False


def share(store: Path, directory: int, timeout_ms: int) -> None:
    """Be one of those who have the store open. Raises `LockTimeoutError`."""
    lock_within(directory, fcntl.LOCK_SH, timeout_ms, f"has been opening {store}")


def note_origin(store: Path, origin: Origin) -> None:
    """Say from where the store is used. Nobody else has it open, and who dies in the middle leaves nobody who would read it."""
    note = json.dumps(origin._asdict()).encode() + b"\n"
    file = new_file()
    try:
        open_file_into(file, names.users_file(store))
        with open(file[0], "r+b", closefd=False) as noted:
            if noted.read(_NOTE_BYTES_MAX) != note:
                noted.seek(0)
                noted.write(note)  # over the former one, which takes no room on a full disk
                noted.truncate()
    finally:
        lib.el_file_close(file)


def check_origin(store: Path, directory: int, origin: Origin) -> None:
    """Raise `StoreOpenError` if the store is used from elsewhere. The caller shares the lock."""
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
