"""A thread that does the same work again and again until it is stopped."""

from __future__ import annotations

import logging
import threading
from abc import ABC, abstractmethod
from queue import Empty, SimpleQueue

from eventlog.background import BackgroundThread

_PAUSE_FACTOR_MAX = 32

_log = logging.getLogger("eventlog")


class PeriodicThread(BackgroundThread, ABC):
    """Works every `interval_ms` milliseconds; after rounds that have failed it waits ever longer, up to 32 times as long."""

    def __init__(self, name: str, interval_ms: int) -> None:
        super().__init__(name)
        self._interval_s = interval_ms / 1000
        # A queue, because an interrupt inside threading.Event would leave its lock behind.
        self._stops: SimpleQueue[None] = SimpleQueue()

    def start(self) -> None:
        """Begin. Raises `ThreadStartError`; then, and when it is interrupted, the thread ends at once if it has begun."""
        try:
            super().start()
        except BaseException:
            self.end()
            raise

    @abstractmethod
    def work(self) -> None:
        """One round. What it raises is logged, and ends nothing: memory that ran out, say, is there again later."""

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
        except Exception:  # there is no memory for that either
            return

    def end(self) -> None:
        """Let the thread end after the round that it may be in."""
        self._stops.put(None)

    def stop(self) -> None:
        """The same, and wait for that."""
        self.end()
        if self.is_alive() and threading.current_thread() is not self:
            self.join()
