"""Who may use a consumer now: one thread at a time, in the process that made it, until it is closed."""

from __future__ import annotations

import functools
import threading
from typing import NoReturn

from eventlog.errors import ConcurrentUseError, EventLogError
from eventlog.holding import Trying


class StillInUseError(Exception):
    """The thread that is using a consumer did not let go of it in time."""


class ExclusiveUse:
    """The lock of a consumer; `name` is what errors call it.

    `alone` is a block in which this thread has the consumer, and may use it again, as listeners do. It raises
    `ConcurrentUseError` if another thread has it, and what `end` was given once nobody may use it any more: so nothing else has
    to be checked before a use."""

    def __init__(self, name: str) -> None:
        self._lock = threading.RLock()
        # Made once, and of functions that do not refer to this object: `Trying` is not seen by the garbage collector.
        self.alone = Trying(functools.partial(self._lock.acquire, False), self._lock.release, functools.partial(_refuse, name))
        self.has_ended = False

    def alone_within(self, timeout: float) -> Trying:
        """`alone`, for which it waits that many seconds. Raises `StillInUseError`."""
        return Trying(functools.partial(self._lock.acquire, timeout=timeout), self._lock.release, _give_up)

    def end(self, why: EventLogError) -> None:
        """Let nobody use the consumer any more: whoever tries is told why."""
        refusing = Trying(bool, bool, functools.partial(_raise_again, why))  # bool() is False: it is not to be had
        self.alone, self.has_ended = refusing, True  # together: no signal handler comes in between


def _refuse(name: str) -> NoReturn:
    raise ConcurrentUseError(f"{name} is in use by another thread: give each thread its own consumer")


def _give_up() -> NoReturn:
    raise StillInUseError


def _raise_again(why: EventLogError) -> NoReturn:
    raise type(why)(*why.args)
