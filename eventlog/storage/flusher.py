"""The thread that looks after an open store: is it still there, and what did any process, living or dead, leave unflushed?"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from eventlog.errors import EventLogError
from eventlog.storage.partition import Partition
from eventlog.storage.periodic import PeriodicThread


class Flusher(PeriodicThread):
    """Calls `check` every `interval_ms` milliseconds, and flushes `partitions` with fsync="interval"."""

    def __init__(
        self, check: Callable[[], None], partitions: Callable[[], Iterable[Partition]], interval_ms: int, *, flushes: bool
    ) -> None:
        super().__init__("eventlog-flusher", interval_ms)
        self._check = check
        self._partitions = partitions
        self._flushes = flushes

    def work(self) -> None:
        self._check()
        for partition in self._partitions() if self._flushes else ():
            try:
                partition.flush()
            except EventLogError:
                # The failure is on record in the shared head: the next append of any process raises it.
                continue
