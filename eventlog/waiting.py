"""Waiting for a partition to grow: a futex in its shared head, woken only when somebody waits."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from eventlog._native import lib

# A writer that is killed between publishing and waking takes the wake-up with it; so a waiter looks again at times.
_LOOK_AGAIN_MS = 1000


def wait_past(
    head: Any, offset: int, timeout: float | None, check_open: Callable[[], object], *, durable: bool = False
) -> bool:
    """Block until the end offset (or the durable offset) is past `offset`; False after `timeout` seconds.

    `head` is a native `el_head`. Signal handlers run while it waits; `check_open` is called after every wake-up, and
    raises when the handle was closed meanwhile."""
    deadline = None if timeout is None else time.monotonic() + timeout
    while True:
        slice_ms = _LOOK_AGAIN_MS
        if deadline is not None:
            remaining_ms = max(0, int((deadline - time.monotonic()) * 1000 + 0.999))
            slice_ms = min(slice_ms, remaining_ms)
        if lib.el_head_wait(head, offset, durable, slice_ms) == lib.EL_DONE:
            return True
        check_open()
        if deadline is not None and time.monotonic() >= deadline:
            return False
