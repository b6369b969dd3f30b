"""Closing in steps: an error in one keeps no other from being done, and what an interrupt has ended is for the next call."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any, Protocol

from eventlog.background import BackgroundThread
from eventlog.errors import EventLogError, raise_together
from eventlog.holding import is_entered

Step = Callable[[], object]  # which may be done again


class Dependent(Protocol):
    """What is built on something that can be closed, and is closed before it."""

    def check_not_replaced(self) -> None:
        """Raise `StoreReplacedError` if somebody has deleted files that it goes by."""

    def check_may_close(self) -> None:
        """Raise `ConcurrentUseError` where the calling thread is inside something that closing waits for."""

    def closing_steps(self) -> list[Step]:
        """What closing it is made of, in order."""


class Closing:
    """A close that any thread may call, any number of times, and that a signal handler may call anywhere.

    `check` raises where it is not possible now, and nothing is changed then. `steps` is asked once for what is to be done."""

    def __init__(self, check: Callable[[], None], steps: Callable[[], list[Step]]) -> None:
        self._check = check
        self._steps = steps
        self._lock: Any = threading.RLock()
        self._left: list[Step] | None = None  # None: no close has begun
        self._process_id = os.getpid()

    def close(self) -> None:
        """Do all steps, whatever goes wrong in one of them; that is raised then.

        Of several threads each returns when all is done; a call after that does nothing, nor does one in the middle of a close,
        which goes on when the handler returns, nor one in a child of fork()."""
        if os.getpid() != self._process_id or is_entered(self._lock):
            return
        if isinstance(threading.current_thread(), BackgroundThread) and self._left is not None:
            return  # whoever is closing waits for this thread
        self._check()
        with self._lock:
            if self._left is None:
                self._left = self._steps()
            do_steps(self._left)


def do_steps(steps: list[Step]) -> None:
    """Do each of these steps, and take it off the list once it is done or has failed; raise what went wrong in all of them.

    One that an interrupt has ended stays on the list."""
    failures: list[BaseException] = []
    interrupts: list[BaseException] = []
    for step in list(steps):
        try:
            step()
        except (EventLogError, OSError) as error:
            failures.append(error)
        except BaseException as interrupt:
            interrupts.append(interrupt)
            continue
        steps.remove(step)
    raise_together([*interrupts, *failures])
