"""Holding a mutex of a mapped page from Python, for a block that runs Python code and may be interrupted anywhere."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from typing import Any

from eventlog._native import ffi, lib
from eventlog.errors import EventLogError
from eventlog.holding import Holding

_SLICE_MS = 1000  # Python runs its signal handlers between two slices of a wait

Lock = Callable[[int, Any], int]
Refusal = Callable[[int, int], EventLogError]


def held(lock: Lock, release: Callable[[Any], object], timeout_ms: int, refusal: Refusal) -> Holding[None]:
    """Hold a mutex for the duration of a block.

    `lock` gets the milliseconds to wait, and a cell that is 0 once the mutex is taken: a signal handler may raise as soon as
    the call has returned, before its result is examined. `release` is native code that uses this cell. If the mutex cannot be
    taken, `refusal` creates the error to raise from the status and the process that holds the mutex (-1: not known)."""
    holder = ffi.new("int32_t *", -1)
    take = functools.partial(_take, lock, holder, timeout_ms, refusal)
    return Holding(take, functools.partial(release, holder))


def _take(lock: Lock, holder: Any, timeout_ms: int, refusal: Refusal) -> None:
    deadline = time.monotonic() + timeout_ms / 1000
    while True:
        remaining_ms = max(0, int((deadline - time.monotonic()) * 1000))
        status = lock(min(remaining_ms, _SLICE_MS), holder)
        if status == lib.EL_DONE:
            return
        if status == lib.EL_HELD_ALREADY or remaining_ms == 0:
            raise refusal(status, holder[0])
