"""The thread behind fsync="interval": it flushes what any process, living or dead, left unflushed."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from eventlog.errors import EventLogError
from eventlog.storage.partition import Partition
from eventlog.storage.periodic import PeriodicThread


class Flusher(PeriodicThread):
    """Flushes the partitions that this process has open, every `interval_ms` milliseconds."""

    def __init__(self, partitions: Callable[[], Iterable[Partition]], interval_ms: int) -> None:
        super().__init__("eventlog-flusher", interval_ms)
        self._partitions = partitions

    def work(self) -> None:
        for partition in self._partitions():
            try:
                partition.flush()
            except EventLogError:
                # The failure is on record in the shared head: the next append of any process raises it.
                continue
