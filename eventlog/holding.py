"""Holding something for the length of a block, whatever a signal handler raises there.

A generator with `contextlib.contextmanager` is no way to do that: an interrupt on its way in or out leaves it hanging, with the
lock, for as long as somebody keeps the exception. `native/python/holding.c` says more.
"""

from __future__ import annotations

from typing import Any, NoReturn

from eventlog._native import Holding, Trying, held_blocks
from eventlog.errors import ConcurrentUseError

__all__ = ["Holding", "Trying", "check_no_block_interrupted", "entered_once"]


def check_no_block_interrupted(what: str) -> None:
    """Raise `ConcurrentUseError` where a signal handler or a finalizer has come in between while this thread holds something:
    to wait for others who wait for that would last for ever."""
    if held_blocks() > 0:
        _refuse(what)


def entered_once(lock: Any, what: str) -> Any:
    """An `RLock`, for a block that holds it. Raises `ConcurrentUseError` where this thread has it: a signal handler or a
    finalizer would find things half done."""
    if is_entered(lock):
        _refuse(what)
    return lock


def is_entered(lock: Any) -> bool:
    """Does this thread have an `RLock`?"""
    return bool(lock._is_owned())


def _refuse(what: str) -> NoReturn:
    raise ConcurrentUseError(
        f"{what} is not possible here: a signal handler or a finalizer has interrupted a call of this thread; let "
        "it set a flag or raise, and do this once that call has returned"
    )
