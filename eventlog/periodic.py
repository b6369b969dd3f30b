"""A thread that repeats the same work until it is stopped."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from queue import Empty, SimpleQueue

from eventlog.background import BackgroundThread
from eventlog.logs import logger

_PAUSE_FACTOR_MAX = 32

_log = logger("background")


class PeriodicThread(BackgroundThread, ABC):
    """Works every `interval_ms` milliseconds; after each failed round it waits longer, up to 32 times as long."""

    def __init__(self, name: str, interval_ms: int) -> None:
        super().__init__(name)
        self._interval_s = interval_ms / 1000
        # A queue, because an interrupt inside threading.Event would leave its lock held.
        self._stops: SimpleQueue[None] = SimpleQueue()

    def start(self) -> None:
        """Start the thread. Raises `ThreadStartError`. After that error or an interrupt, a thread that did start ends at
        once."""
        try:
            super().start()
        except BaseException:
            self.end()
            raise

    @abstractmethod
    def work(self) -> None:
        """One round. An error is logged, but does not end the thread: memory that ran out, for example, may be free later."""

    def run(self) -> None:
        pause_factor = 1
        while True:
            try:
                return self._stops.get(timeout=self._interval_s * pause_factor)
            except Empty:
                pause_factor = 1 if self._is_done() else min(2 * pause_factor, _PAUSE_FACTOR_MAX)

    def _is_done(self) -> bool:
        try:
            self.work()
        except Exception as error:
            self._log_failure(error)
            return False
        return True

    def _log_failure(self, error: Exception) -> None:
        try:
            _log.warning("%s failed and will try again: %s: %s", self.name, type(error).__name__, error)
        except Exception:  # there is not enough memory to log, either
            return

    def end(self) -> None:
        """End the thread after its current round, if it is in one."""
        self._stops.put(None)

    def stop(self) -> None:
        """End the thread, and wait until it has ended."""
        self.end()
        if self.is_alive() and threading.current_thread() is not self:
            self.join()
