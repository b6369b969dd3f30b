"""A lock that refuses code that interrupts its holder, such as a finalizer or a signal handler."""

from __future__ import annotations

import threading
from typing import Any

from eventlog.errors import ConcurrentUseError


class Exclusion:
    """Admits one thread at a time; `what` describes what the thread does then.

    A finalizer that the garbage collector runs, or a signal handler, may interrupt the thread that holds the lock. If it
    waited for the lock, it would wait forever, and if it went on, it would find things half done. So it is refused."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._lock: Any = threading.RLock()  # an RLock only because it knows its owner

    def held(self) -> Any:
        """A context for one thread at a time. Raises `ConcurrentUseError` if this thread is already in it."""
        if self._lock._is_owned():
            raise ConcurrentUseError(
                f"this thread {self._what} already: a finalizer or a signal handler that has interrupted it must not use "
                "the same producer"
            )
        return self._lock
