"""A thread that does the same work again and again until it is stopped."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from queue import Empty, SimpleQueue


class PeriodicThread(threading.Thread, ABC):
    """Works every `interval_ms` milliseconds. A daemon: it keeps no program from ending."""

    def __init__(self, name: str, interval_ms: int) -> None:
        super().__init__(name=name, daemon=True)
        self._interval_s = interval_ms / 1000
        # A queue, because an interrupt inside threading.Event would leave its lock behind.
        self._stops: SimpleQueue[None] = SimpleQueue()

    @abstractmethod
    def work(self) -> None:
        """One round; what it raises ends the thread."""

    def run(self) -> None:
        while True:
            try:
                return self._stops.get(timeout=self._interval_s)
            except Empty:
                self.work()

    def stop(self) -> None:
        """End the thread, and wait for the round that it may be in."""
        self._stops.put(None)
        if self.is_alive() and threading.current_thread() is not self:
            self.join()
