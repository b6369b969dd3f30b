"""The lock under which sealed segments of a partition are deleted, replaced or linked, by whichever process.

It is an exclusive `flock` on the partition's directory. Appends, rolls and readers do not take it: they never touch a sealed
file. It vanishes with the process that holds it, also if that has forked children: these close their copies. On logs/, the
directory of all partitions, it is the lock of who removes some of them.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from eventlog.storage import files
from eventlog.storage.file_locks import lock_within

_held: set[int] = set()  # descriptors; a forked child has copies, which would keep the locks after its parent's death


@contextmanager
def segments_locked(directory: Path, timeout_ms: int) -> Iterator[None]:
    """Be the only one, thread or process, who deletes, replaces or links sealed segments of the partition in `directory`.

    Raises `LockTimeoutError`, which names the holder, and `FileNotFoundError` if there is no such directory."""
    opened = [-1]  # here, because a signal's handler may raise as soon as the lock is taken
    try:
        _lock(directory, timeout_ms, opened)
        yield
    finally:
        _give_back(opened)


def _lock(directory: Path, timeout_ms: int, opened: list[int]) -> None:
    deadline = time.monotonic() + timeout_ms / 1000
    while True:
        descriptor = opened[0] = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        _held.add(descriptor)
        remaining_ms = int((deadline - time.monotonic()) * 1000)
        lock_within(descriptor, fcntl.LOCK_EX, remaining_ms, f"has deleted, replaced or copied segments of {directory}")
        if os.path.samestat(os.stat(directory), os.fstat(descriptor)):
            return
        _give_back(opened)  # the topic was deleted and made anew meanwhile


def _give_back(opened: list[int]) -> None:
    is_ours = opened[0] in _held  # a child that got here by a fork inside the block has given up its copy already
    try:
        if is_ours:
            fcntl.flock(opened[0], fcntl.LOCK_UN)  # first of all, whatever interrupts the rest
    finally:
        descriptor, opened[0] = opened[0], -1
        _held.discard(descriptor)
        if is_ours:
            files.close(descriptor)


def _after_fork_in_child() -> None:
    for descriptor in _held:
        files.close(descriptor)
    _held.clear()


os.register_at_fork(after_in_child=_after_fork_in_child)
