"""Holding a mutex of a mapped page from Python, for a block that calls back and may be interrupted anywhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from eventlog._native import ffi, lib
from eventlog.errors import EventLogError

_SLICE_MS = 1000  # between two slices of a wait Python runs its signal handlers

Lock = Callable[[int, Any], int]
Refusal = Callable[[int, int], EventLogError]


@contextmanager
def held(lock: Lock, unlock: Callable[[], object], timeout_ms: int, refusal: Refusal) -> Iterator[None]:
    """Hold a mutex for the length of a block.

    `lock` gets the milliseconds to wait, and a cell which is 0 once the mutex is taken: a signal's handler may raise as soon as
    the call has returned, before its answer is looked at. `unlock` is no Python code, which it could end before anything is
    done. Where the mutex cannot be had, `refusal` makes the error to raise of the status and the process that has it (-1: not
    known)."""
    holder = ffi.new("int32_t *", -1)
    try:
        _take(lock, holder, timeout_ms, refusal)
        yield
    finally:
        if holder[0] == 0:
            unlock()


def _take(lock: Lock, holder: Any, timeout_ms: int, refusal: Refusal) -> None:
    deadline = time.monotonic() + timeout_ms / 1000
    while True:
        remaining_ms = max(0, int((deadline - time.monotonic()) * 1000))
        status = lock(min(remaining_ms, _SLICE_MS), holder)
        if status == lib.EL_DONE:
            return
        if status == lib.EL_HELD_ALREADY or remaining_ms == 0:
            raise refusal(status, holder[0])
