"""The lock that any process must hold to delete, replace or link sealed segments of a partition.

It is an exclusive `flock` on the partition's directory. Appends, rolls and readers do not take it: they never change a sealed
file. It vanishes with the process that holds it, even if that process has forked: children close their copies. On logs/, the
directory of all partitions, it is the lock for removing partitions.
"""

from __future__ import annotations

import fcntl
import functools
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from eventlog._native import lib
from eventlog.access import new_file, open_existing_into
from eventlog.errors import LockTimeoutError
from eventlog.holding import Holding
from eventlog.storage.segments.file_locks import lock_within

# The thread and the directory by open file. A forked child has copies, which would hold the locks after its parent's death.
_held: dict[Any, tuple[int, str]] = {}


def segments_locked(directory: Path, timeout_ms: int, begin: Callable[[], None] | None = None) -> Holding[None]:
    """Hold the lock that allows only one thread of all processes to delete, replace or link sealed segments of the partition
    in `directory`.

    `begin` is called first, with the lock held. The block raises `LockTimeoutError`, which names the holder, and
    `FileNotFoundError` if there is no such directory."""
    file = new_file()
    take = functools.partial(_lock, file, directory, timeout_ms, begin)
    return Holding(take, functools.partial(lib.el_file_unlock, file), functools.partial(_held.pop, file, None))


def _lock(file: Any, directory: Path, timeout_ms: int, begin: Callable[[], None] | None) -> None:
    deadline = time.monotonic() + timeout_ms / 1000
    own = threading.get_ident(), str(directory)
    if own in list(_held.values()):
        raise LockTimeoutError(
            f"this thread is already working on segments of {directory}: a signal handler must not change them while the code "
            "that it interrupted does"
        )
    _held[file] = own
    while True:
        open_existing_into(file, directory, os.O_RDONLY | os.O_DIRECTORY)
        remaining_ms = int((deadline - time.monotonic()) * 1000)
        lock_within(file[0], fcntl.LOCK_EX, remaining_ms, f"has deleted, replaced or copied segments of {directory}")
        if os.path.samestat(os.stat(directory), os.fstat(file[0])):
            break
        lib.el_file_unlock(file)  # the topic was deleted and created again meanwhile
    if begin is not None:
        begin()


def _after_fork_in_child() -> None:
    for file in _held:
        lib.el_file_close(file)  # code inside the block in the child no longer has anything to release
    _held.clear()


os.register_at_fork(after_in_child=_after_fork_in_child)
