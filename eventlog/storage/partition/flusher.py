"""The thread that maintains an open store: is it still there, and what did any process, living or dead, leave unflushed?"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from eventlog.errors import EventLogError, TopicNotFoundError
from eventlog.logs import logger
from eventlog.periodic import PeriodicThread
from eventlog.storage.partition.log import PartitionLog

_log = logger("background")


class Flusher(PeriodicThread):
    """Every `interval_ms` milliseconds, closes files that are no longer needed in the partitions that `partitions` returns, and
    with fsync="interval" flushes them. If it returns None, the store was dropped, and the thread ends."""

    def __init__(self, partitions: Callable[[], Iterable[PartitionLog] | None], interval_ms: int, *, flushes: bool) -> None:
        super().__init__("eventlog-flusher", interval_ms)
        self._partitions = partitions
        self._flushes = flushes
        self._failing: set[str] = set()

    def work(self) -> None:
        failure: Exception | None = None
        partitions = self._partitions()
        if partitions is None:
            self.end()
            return
        for partition in partitions:
            try:
                partition.release_old_files()
                if self._flushes:
                    partition.flush()
                self._failing.discard(str(partition))
            except TopicNotFoundError:  # deleted with its records: there is nothing to flush
                self._failing.discard(str(partition))
            except EventLogError as error:
                # The failure is on record in the shared head: the next append of any process raises it.
                if str(partition) not in self._failing:
                    _log.warning("%s cannot be flushed: %s", partition, error)
                self._failing.add(str(partition))
            except Exception as error:  # an error of one, such as memory that ran out, must not stop the others
                failure = error
        if failure is not None:
            raise failure
