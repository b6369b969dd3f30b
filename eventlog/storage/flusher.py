"""The thread behind fsync="interval": it flushes what any process, living or dead, left unflushed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable

from eventlog.errors import EventLogError
from eventlog.storage.partition import Partition


class Flusher(threading.Thread):
    """Flushes the partitions that this process has open, every `interval_ms` milliseconds."""

    def __init__(self, partitions: Callable[[], Iterable[Partition]], interval_ms: int) -> None:
        super().__init__(name="eventlog-flusher", daemon=True)
        self._partitions = partitions
        self._interval_s = interval_ms / 1000
        self._stopped = threading.Event()

    def run(self) -> None:
        while not self._stopped.wait(self._interval_s):
            for partition in self._partitions():
                try:
                    partition.flush()
                except EventLogError:
                    # The failure is on record in the shared head: the next append of any process raises it.
                    continue

    def stop(self) -> None:
        """End the thread, and wait for the flush that it may be in."""
        self._stopped.set()
        if self.is_alive() and threading.current_thread() is not self:
            self.join()
