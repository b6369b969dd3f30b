"""Holding a lock or another resource for the duration of a block, even if a signal handler raises there.

A generator with `contextlib.contextmanager` cannot do that: an interrupt while it is entered or left leaves it suspended, with
the lock, for as long as something refers to the exception. `native/python/holding.c` explains more.
"""

from __future__ import annotations

from typing import Any, NoReturn

from eventlog._native import Holding, Trying, held_blocks
from eventlog.errors import ConcurrentUseError

__all__ = ["Holding", "Trying", "check_no_block_interrupted", "entered_once"]


def check_no_block_interrupted(what: str) -> None:
    """Raise `ConcurrentUseError` if a signal handler or a finalizer has interrupted this thread while it holds something:
    waiting for others that wait for this thread would be a deadlock."""
    if held_blocks() > 0:
        _refuse(what)


def entered_once(lock: Any, what: str) -> Any:
    """An `RLock`, for a block that holds it. Raises `ConcurrentUseError` if this thread already has it: a signal handler or a
    finalizer would find an inconsistent state."""
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
