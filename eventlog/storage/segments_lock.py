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
    descriptor = _locked(directory, timeout_ms)
    try:
        yield
    finally:
        if descriptor in _held:  # a child that got here by a fork inside the block has given up its copy already
            _give_back(descriptor)


def _locked(directory: Path, timeout_ms: int) -> int:
    deadline = time.monotonic() + timeout_ms / 1000
    while True:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        _held.add(descriptor)
        try:
            remaining_ms = int((deadline - time.monotonic()) * 1000)
            lock_within(
                descriptor, fcntl.LOCK_EX, remaining_ms, f"has deleted, replaced or copied segments of {directory}"
            )
            status, here = os.stat(directory), os.fstat(descriptor)
        except BaseException:
            _give_back(descriptor)
            raise
        if (status.st_dev, status.st_ino) == (here.st_dev, here.st_ino):
            return descriptor
        _give_back(descriptor)  # the topic was deleted and made anew meanwhile


def _give_back(descriptor: int) -> None:
    _held.discard(descriptor)
    files.unlock_and_close(descriptor)


def _after_fork_in_child() -> None:
    for descriptor in _held:
        files.close(descriptor)
    _held.clear()


os.register_at_fork(after_in_child=_after_fork_in_child)
