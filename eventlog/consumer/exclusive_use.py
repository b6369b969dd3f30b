"""The exclusive use of a consumer: by one thread at a time, in the process that made it, until it is closed."""

from __future__ import annotations

import functools
import threading
from typing import NoReturn

from eventlog.errors import ConcurrentUseError, EventLogError
from eventlog.holding import Trying


class StillInUseError(Exception):
    """The thread that is using a consumer did not release it in time."""


class ExclusiveUse:
    """The lock of a consumer, which errors call `name`.

    `alone` is a block in which only this thread may use the consumer; it may be entered again inside, as listeners do. It
    raises `ConcurrentUseError` if another thread is in it, and after `end` the error given there. So a use needs no other
    check."""

    def __init__(self, name: str) -> None:
        self._lock = threading.RLock()
        # Made once, from functions that do not refer to this object: the garbage collector does not traverse a `Trying`.
        self.alone = Trying(functools.partial(self._lock.acquire, False), self._lock.release, functools.partial(_refuse, name))
        self.has_ended = False

    def alone_within(self, timeout: float) -> Trying:
        """`alone`, but wait up to `timeout` seconds for it. Raises `StillInUseError`."""
        return Trying(functools.partial(self._lock.acquire, timeout=timeout), self._lock.release, _give_up)

    def end(self, why: EventLogError) -> None:
        """Refuse all further use of the consumer: each attempt raises `why`."""
        refusing = Trying(bool, bool, functools.partial(_raise_again, why))  # bool() is False: the attempt always fails
        self.alone, self.has_ended = refusing, True  # in one step: no signal handler can interrupt it


def _refuse(name: str) -> NoReturn:
    raise ConcurrentUseError(f"{name} is in use by another thread: give each thread its own consumer")


def _give_up() -> NoReturn:
    raise StillInUseError


def _raise_again(why: EventLogError) -> NoReturn:
    raise type(why)(*why.args)
