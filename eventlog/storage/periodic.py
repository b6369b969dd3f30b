"""A thread that does the same work again and again until it is stopped."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod


class PeriodicThread(threading.Thread, ABC):
    """Works every `interval_ms` milliseconds. A daemon: it keeps no program from ending."""

    def __init__(self, name: str, interval_ms: int) -> None:
        super().__init__(name=name, daemon=True)
        self._interval_s = interval_ms / 1000
        self._stopped = threading.Event()

    @abstractmethod
    def work(self) -> None:
        """One round; what it raises ends the thread."""

    def run(self) -> None:
        while not self._stopped.wait(self._interval_s):
            self.work()

    def stop(self) -> None:
        """End the thread, and wait for the round that it may be in."""
        self._stopped.set()
        if self.is_alive() and threading.current_thread() is not self:
            self.join()
