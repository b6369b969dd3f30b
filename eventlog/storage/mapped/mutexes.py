"""Holding a mutex of a mapped page from Python, for a block that calls back and may be interrupted anywhere."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from typing import Any

from eventlog._native import ffi, lib
from eventlog.errors import EventLogError
from eventlog.holding import Holding

_SLICE_MS = 1000  # between two slices of a wait Python runs its signal handlers

Lock = Callable[[int, Any], int]
Refusal = Callable[[int, int], EventLogError]


def held(lock: Lock, release: Callable[[Any], object], timeout_ms: int, refusal: Refusal) -> Holding[None]:
    """Hold a mutex for the length of a block.

    `lock` gets the milliseconds to wait, and a cell which is 0 once the mutex is taken: a signal handler may raise as soon as
    the call has returned, before its answer is looked at. `release` is native code that goes by this cell. Where the mutex
    cannot be had, `refusal` makes the error to raise of the status and the process that has it (-1: not known)."""
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
