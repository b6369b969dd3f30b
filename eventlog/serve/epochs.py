"""The leader epochs of partitions, for clients: each truncation by recovery, or by a repair, has started one.

They are read from the partitions' checkpoints, and kept until the catalog's version changes: whatever starts an epoch changes
that, too.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from eventlog.serve import errors
from eventlog.serve.catalog import Topic
from eventlog.serve.errors import RefusedError
from eventlog.storage.segments import names
from eventlog.storage.segments.epochs import read_epochs
from eventlog.store.store import Store

_LISTED_FROM = 100  # partitions: from so many on it pays to look first which of them have a directory

NO_EPOCH = -1
LeaderEpochList = Sequence[tuple[int, int]]
"""The leader epochs of a partition in order, each with its first offset; at least one."""


class LeaderEpochs:
    """The current leader epochs of topics. Those that are 0, as most are, take no memory. Safe for several threads."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._by_topic: dict[bytes, tuple[int, Mapping[int, int]]] = {}

    def missing(self, topics: Iterable[Topic]) -> list[Topic]:
        """Those of the topics that have to be read."""
        version, known = self._store.signals.catalog_version, self._by_topic
        return [topic for topic in topics if known.get(topic.id, (-1,))[0] != version]

    def read(self, topics: Sequence[Topic]) -> None:
        """Read the epochs of topics; in a thread."""
        version = self._store.signals.catalog_version  # before reading: a later change causes another reading
        for topic in topics:
            self._by_topic[topic.id] = version, self._read(topic)

    def _read(self, topic: Topic) -> dict[int, int]:
        found = {}
        for number in created_partitions(self._store.path, topic):
            epochs = read_epochs(names.partition_directory(self._store.path, topic.name, number))
            if epochs and epochs[-1][0]:
                found[number] = epochs[-1][0]
        return found

    def of(self, topic: Topic) -> Mapping[int, int]:
        """The epochs of those partitions of a topic that was read whose epoch is not 0."""
        return self._by_topic.get(topic.id, (-1, {}))[1]

    def check(self, topic: Topic, partition: int, epochs: LeaderEpochList, known: int) -> None:
        """Raise `RefusedError` unless `known` is the current leader epoch of a partition; -1: the client does not know any.

        A client that knows an older one asks for the metadata, and then whether its position still exists. So the metadata must
        not have the older one, too, as when the process that began the newer one died before it could announce that."""
        current = epochs[-1][0]
        if known in (NO_EPOCH, current):
            return
        if self.of(topic).get(partition, 0) != current:
            self._by_topic.pop(topic.id, None)
        if known < current:
            raise RefusedError(errors.FENCED_LEADER_EPOCH, f"the leader epoch is {current}, and no longer {known}")
        raise RefusedError(errors.UNKNOWN_LEADER_EPOCH, f"the leader epoch is {current}, and not {known} yet")

    def forget(self, topics: set[bytes]) -> None:
        """Drop what is known, except of topics with these ids."""
        for key in list(self._by_topic):
            if key not in topics:
                self._by_topic.pop(key, None)


def created_partitions(store: Path, topic: Topic) -> Iterable[int]:
    """The partitions of a topic that may have a directory; the others were never used."""
    numbers = range(topic.partitions)
    if len(numbers) < _LISTED_FROM:
        return numbers
    existing = set(os.listdir(names.logs_directory(store)))
    return [number for number in numbers if f"{topic.name}-{number}" in existing]


def epochs_in(store: Path, topic: str, partition: int) -> LeaderEpochList:
    """The leader epochs of a partition that is not open."""
    return read_epochs(names.partition_directory(store, topic, partition)) or [(0, 0)]


def epoch_at(epochs: LeaderEpochList, offset: int) -> int:
    """The leader epoch in which the record at an offset was appended."""
    return max((epoch for epoch, start in epochs if start <= offset), default=epochs[0][0])


def end_of_epoch(epochs: LeaderEpochList, epoch: int, end_offset: int) -> tuple[int, int]:
    """The largest leader epoch up to this one, and the offset where it ends; -1, -1 if this one has not begun.

    Source of the rules: Kafka's LeaderEpochFileCache.endOffsetFor."""
    if epoch == epochs[-1][0]:
        return epoch, end_offset
    later = [start for each, start in epochs if each > epoch]
    if epoch < 0 or not later:
        return NO_EPOCH, -1
    earlier = [each for each, _ in epochs if each <= epoch]
    return (earlier[-1] if earlier else epoch), later[0]
