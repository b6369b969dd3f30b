"""The logs of the partitions that clients use. Opening one may take long, finding an open one does not."""

from __future__ import annotations

from eventlog.storage.partition.log import PartitionLog
from eventlog.store.partitions import Partitions


class OpenPartitions:
    """The logs that this server has opened. Safe for several threads."""

    def __init__(self, partitions: Partitions) -> None:
        self._partitions = partitions
        self._logs: dict[tuple[str, int], PartitionLog] = {}

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

    def forget(self, topics: set[str]) -> None:
        """Drop all logs except those of these topics."""
        for key in list(self._logs):
            if key[0] not in topics:
                self._logs.pop(key, None)
