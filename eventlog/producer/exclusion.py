"""A lock for what code that comes in between must not enter."""

from __future__ import annotations

import threading
from typing import Any

from eventlog.errors import ConcurrentUseError


class Exclusion:
    """One thread at a time; `what` names what it does then.

    A finalizer that the garbage collector runs, or a signal handler, may come in between in the thread that has the lock. To
    wait for it would last for ever, and to go on would find things half done: so that is refused."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._lock: Any = threading.RLock()  # only because it knows who has it

    def held(self) -> Any:
        """A context in which nobody else is. Raises `ConcurrentUseError` where this thread is in it already."""
        if self._lock._is_owned():
            raise ConcurrentUseError(
                f"this thread {self._what} already: a finalizer or a signal handler that has interrupted it must not use "
                "the same producer"
            )
        return self._lock
