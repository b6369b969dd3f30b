"""Who may use a consumer now: one thread at a time, in the process that made it, until it is closed."""

from __future__ import annotations

import functools
import threading
from typing import Any, NoReturn

from eventlog.errors import ConcurrentUseError, EventLogError
from eventlog.holding import Trying


class StillInUseError(Exception):
    """The thread that is using a consumer did not let go of it in time."""


class ExclusiveUse:
    """The lock of a consumer; `name` is what errors call it. The thread that has it may use the consumer again inside, as
    listeners do."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._lock: Any = threading.RLock()

    def alone(self) -> Trying:
        """A block in which this thread has the consumer. Raises `ConcurrentUseError` if another one has it, and what `end` was
        given once nobody may use it any more."""
        lock = self._lock
        return Trying(functools.partial(lock.acquire, False), lock.release, self._refuse)

    def alone_within(self, timeout: float) -> Trying:
        """The same, for which it waits that many seconds. Raises `StillInUseError`."""
        lock = self._lock
        return Trying(functools.partial(lock.acquire, timeout=timeout), lock.release, _give_up)

    @property
    def has_ended(self) -> bool:
        """Was `end` called?"""
        return isinstance(self._lock, _Refusing)

    def end(self, why: EventLogError) -> None:
        """Let nobody use the consumer any more: whoever tries is told why."""
        self._lock = _Refusing(why)

    def _refuse(self) -> NoReturn:
        raise ConcurrentUseError(f"{self._name} is in use by another thread: give each thread its own consumer")


def _give_up() -> NoReturn:
    raise StillInUseError


class _Refusing:
    """In place of the lock of a consumer that cannot be used any more: so nothing has to be checked before every use."""

    def __init__(self, why: EventLogError) -> None:
        self._why = why

    def acquire(self, blocking: bool = True, timeout: float = -1) -> NoReturn:
        raise type(self._why)(*self._why.args)

    def release(self) -> None:
        """Nobody has it."""
