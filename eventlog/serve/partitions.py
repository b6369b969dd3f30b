"""The logs of the partitions that clients use. Opening one may take long, finding an open one does not."""

from __future__ import annotations

from contextlib import suppress

from eventlog.errors import EventLogError
from eventlog.storage.partition.log import PartitionLog
from eventlog.store.partitions import Partitions


class OpenPartitions:
    """The logs that this server has opened. Safe for several threads."""

    def __init__(self, partitions: Partitions) -> None:
        self._partitions = partitions
        self._logs: dict[tuple[str, int], PartitionLog] = {}
        self._seen: dict[tuple[str, int], tuple[int, int]] = {}  # their activity, when it was asked last
        self._resting: set[tuple[str, int]] = set()

    def find(self, topic: str, partition: int) -> PartitionLog | None:
        """A log that is open; None if it has to be opened."""
        log = self._logs.get((topic, partition))
        return log if log is not None and log.is_open and not log.is_deleted else None

    def open(self, topic: str, partition: int) -> PartitionLog:
        """A log, which is opened if necessary. To be called in a thread. Raises `TopicNotFoundError`, and what opening a
        partition raises."""
        log = self.find(topic, partition)
        if log is None:
            log = self._logs[topic, partition] = self._partitions.open(topic, partition).log
            log.leader_epochs  # noqa: B018 - read now, and not on the event loop
        return log

    def rest_idle(self) -> None:
        """Close the files of the partitions with which nothing was done since the last call; whatever needs them opens them
        again. To be called in a thread, one at a time."""
        for key, log in list(self._logs.items()):
            with suppress(EventLogError):  # it is closed, or its topic deleted
                activity = log.activity
                if activity != self._seen.get(key):
                    self._resting.discard(key)
                elif key not in self._resting and log.rest():
                    self._resting.add(key)
                self._seen[key] = activity

    def forget(self, topics: set[str]) -> None:
        """Drop all logs except those of these topics."""
        for key in list(self._logs):
            if key[0] not in topics:
                self._logs.pop(key, None)
                self._seen.pop(key, None)
                self._resting.discard(key)
