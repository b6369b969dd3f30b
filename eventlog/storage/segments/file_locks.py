"""Kernel locks on open files: waiting for a `flock` for a bounded time and naming its holder, and locks on bytes.

The latter are open file description locks: they belong to the description that one open() call created. Source: fcntl(2)."""

from __future__ import annotations

import fcntl
import functools
import os
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from eventlog._native import lib
from eventlog.access import new_file, open_file_into
from eventlog.errors import LockTimeoutError
from eventlog.holding import Holding

_PAUSE_SECONDS_MIN, _PAUSE_SECONDS_MAX = 0.001, 0.05
_LOCKS = Path("/proc/locks")
_FLOCK = struct.Struct("hhqqi4x")  # struct flock on 64-bit Linux: type, whence, start, length, pid


def attempts(timeout_ms: int) -> Iterator[None]:
    """One item for each attempt at something that sends no notification when it becomes possible, with growing pauses, until
    the timeout."""
    deadline = time.monotonic() + timeout_ms / 1000
    pause = _PAUSE_SECONDS_MIN
    while True:
        yield
        remaining = deadline - time.monotonic()
        if remaining <= 0:
            return
        time.sleep(min(pause, remaining))
        pause = min(2 * pause, _PAUSE_SECONDS_MAX)


def lock_within(descriptor: int, operation: int, timeout_ms: int, doing: str) -> None:
    """Take a `flock` (`fcntl.LOCK_SH` or `LOCK_EX`) on an open file.

    `doing` describes the holder's work, for the message. Raises `LockTimeoutError`, which names the holder. `flock` has no
    timeout, and a library must not use signals: so it is tried repeatedly."""
    for _ in attempts(timeout_ms):
        with suppress(BlockingIOError):
            fcntl.flock(descriptor, operation | fcntl.LOCK_NB)
            return
    raise LockTimeoutError(
        f"{_holder(descriptor)} {doing} for more than {timeout_ms} ms; if it is stopped, continue or kill it"
    )


def locked_alone(path: Path, refuse: Callable[[int], None] | None = None) -> Holding[bool]:
    """Hold the exclusive `flock` on a file for the duration of a block, if it is free at once; the block gets whether it was.

    If it is not free, `refuse` gets the open file, and may raise."""
    file = new_file()

    def lock() -> bool:
        open_file_into(file, path)
        try:
            fcntl.flock(file[0], fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if refuse is not None:
                refuse(file[0])
            return False
        return True

    return Holding(lock, functools.partial(lib.el_file_unlock, file))


def locked_byte(path: Path, start: int, timeout_ms: int, doing: str) -> Holding[None]:
    """Hold the lock on one byte of a file for the duration of a block, against other threads, too. `doing` describes the
    holder's work, for the message. Raises `LockTimeoutError`."""
    file = new_file()

    def lock() -> None:
        open_file_into(file, path)
        for _ in attempts(timeout_ms):
            with suppress(BlockingIOError):
                return lock_byte(file[0], fcntl.F_WRLCK, start)
        raise LockTimeoutError(f"another process or thread {doing} for more than {timeout_ms} ms")

    return Holding(lock, functools.partial(lib.el_file_unlock, file))


def _holder(descriptor: int) -> str:
    holders = lock_holders(descriptor)
    return f"process {holders[0]}" if holders else "another process"


def lock_holders(descriptor: int) -> list[int]:
    """The processes that hold a `flock` on an open file, as far as they can be found. Source: proc(5), /proc/locks."""
    status = os.fstat(descriptor)
    file = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    try:
        lines = [line.split() for line in _LOCKS.read_text().splitlines()]
    except OSError:
        return []
    return sorted({int(fields[4]) for fields in lines if fields[1:2] == ["FLOCK"] and fields[5:6] == [file]})


def lock_byte(descriptor: int, kind: int, start: int, length: int = 1) -> None:
    """Lock a byte of an open file, or `length` of them (0: all): `kind` is `fcntl.F_RDLCK`, `F_WRLCK`, or `F_UNLCK` to unlock.

    Raises `BlockingIOError` if another open file description has a conflicting lock."""
    fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, _FLOCK.pack(kind, os.SEEK_SET, start, length, 0))


def is_byte_locked(descriptor: int, start: int, length: int = 1) -> bool:
    """Does another open file description have a lock on one of these bytes?"""
    asked = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, start, length, 0)
    return bool(_FLOCK.unpack(fcntl.fcntl(descriptor, fcntl.F_OFD_GETLK, asked))[0] != fcntl.F_UNLCK)
