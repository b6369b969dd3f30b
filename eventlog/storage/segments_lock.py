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

from eventlog.errors import LockTimeoutError

_PAUSE_SECONDS_MIN, _PAUSE_SECONDS_MAX = 0.001, 0.05
_LOCKS = Path("/proc/locks")

_held: set[int] = set()  # descriptors; a forked child has copies, which would keep the locks after its parent's death


@contextmanager
def segments_locked(directory: Path, timeout_ms: int) -> Iterator[None]:
    """Be the only one, thread or process, who deletes, replaces or links sealed segments of the partition in `directory`.

    Raises `LockTimeoutError`, which names the holder, and `FileNotFoundError` if there is no such directory."""
    descriptor = _locked(directory, time.monotonic() + timeout_ms / 1000, timeout_ms)
    process_id = os.getpid()
    try:
        yield
    finally:
        if process_id == os.getpid():  # a child that got here by a fork inside the block has given up its copy already
            _give_back(descriptor)


def _locked(directory: Path, deadline: float, timeout_ms: int) -> int:
    while True:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        _held.add(descriptor)
        try:
            _wait_for(descriptor, directory, deadline, timeout_ms)
            status, here = os.stat(directory), os.fstat(descriptor)
        except BaseException:
            _give_back(descriptor)
            raise
        if (status.st_dev, status.st_ino) == (here.st_dev, here.st_ino):
            return descriptor
        _give_back(descriptor)  # the topic was deleted and made anew meanwhile


def _wait_for(descriptor: int, directory: Path, deadline: float, timeout_ms: int) -> None:
    """There is no flock with a time limit, and signals are not a library's to use: so it is asked for again and again."""
    pause = _PAUSE_SECONDS_MIN
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                raise LockTimeoutError(
                    f"{_holder(descriptor)} has deleted, replaced or copied segments of {directory} for more than "
                    f"{timeout_ms} ms; if it is stopped, continue or kill it"
                ) from None
        time.sleep(min(pause, remaining))
        pause = min(2 * pause, _PAUSE_SECONDS_MAX)


def _give_back(descriptor: int) -> None:
    fcntl.flock(descriptor, fcntl.LOCK_UN)  # said in words: a child that was forked just now may have a copy
    _held.discard(descriptor)
    os.close(descriptor)


def _holder(descriptor: int) -> str:
    holders = lock_holders(descriptor)
    return f"process {holders[0]}" if holders else "another process"


def lock_holders(descriptor: int) -> list[int]:
    """The processes that hold a `flock` on an open file, as far as that can be told. Source: proc(5), /proc/locks."""
    status = os.fstat(descriptor)
    file = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    try:
        lines = [line.split() for line in _LOCKS.read_text().splitlines()]
    except OSError:
        return []
    return sorted({int(fields[4]) for fields in lines if fields[1:2] == ["FLOCK"] and fields[5:6] == [file]})


def _after_fork_in_child() -> None:
    for descriptor in _held:
        os.close(descriptor)
    _held.clear()


os.register_at_fork(after_in_child=_after_fork_in_child)
