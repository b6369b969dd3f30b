"""Closing in steps: an error in one does not prevent the others, and the next call repeats a step that was interrupted."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any, Protocol

from eventlog.background import BackgroundThread
from eventlog.errors import EventLogError, raise_together
from eventlog.holding import is_entered

Step = Callable[[], object]  # can be repeated


class Dependent(Protocol):
    """An object that is built on another one, and is closed before it."""

    def check_not_replaced(self) -> None:
        """Raise `StoreReplacedError` if files that this object uses were deleted."""

    def check_may_close(self) -> None:
        """Raise `ConcurrentUseError` if the calling thread is inside work that closing waits for."""

    def closing_steps(self) -> list[Step]:
        """The steps that close this object, in order."""


class Closing:
    """A close that any thread may call, any number of times, and that a signal handler may call anywhere.

    `check` raises an error if closing is not possible now, and then nothing is changed. `steps` is called once, and returns the
    steps to do."""

    def __init__(self, check: Callable[[], None], steps: Callable[[], list[Step]]) -> None:
        self._check = check
        self._steps = steps
        self._lock: Any = threading.RLock()
        self._left: list[Step] | None = None  # None: no close has begun
        self._process_id = os.getpid()

    def close(self) -> None:
        """Do all steps, even if one of them fails; its error is raised at the end.

        If several threads call this, each returns when all steps are done. A call does nothing after that, in a child of
        fork(), or in a signal handler in the middle of a close, which continues when the handler returns."""
        if os.getpid() != self._process_id or is_entered(self._lock):
            return
        if isinstance(threading.current_thread(), BackgroundThread) and self._left is not None:
            return  # the thread that is closing waits for this one
        self._check()
        with self._lock:
            if self._left is None:
                self._left = self._steps()
            do_steps(self._left)


def do_steps(steps: list[Step]) -> None:
    """Do each of these steps, and remove it from the list once it is done or has failed; raise all errors together.

    A step that was interrupted stays on the list."""
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
