"""Appending to partitions: each batch of an idempotent producer once. All of it runs in threads."""

from __future__ import annotations

import threading
import weakref
from typing import NamedTuple

from eventlog.serve.batches import Batch
from eventlog.serve.producers import NO_PRODUCER, PartitionProducers
from eventlog.storage.partition.log import PartitionLog
from eventlog.store.partitions import Partitions


class Appended(NamedTuple):
    """Where a batch was appended, and with which timestamp: -1 if it has kept its own."""

    offset: int
    append_time_ms: int
    log_start_offset: int


class _State:
    """What is remembered of a partition; the lock lets a producer's batches be appended one after the other."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.producers = PartitionProducers()


class Appends:
    """Appends for many connections. Safe for several threads."""

    def __init__(self, partitions: Partitions) -> None:
        self._partitions = partitions
        self._states: weakref.WeakKeyDictionary[PartitionLog, _State] = weakref.WeakKeyDictionary()
        self._lock = threading.Lock()

    def append(self, topic: str, partition: int, batch: Batch) -> Appended:
        """Append a batch, unless it was appended before. Raises `RefusedError`, and what `PartitionLog.append` raises."""
        log = self._partitions.open(topic, partition).log
        if batch.sent.producer_id == NO_PRODUCER:
            return self._append(log, batch)
        with self._lock:
            state = self._states.setdefault(log, _State())
        with state.lock:
            offset = state.producers.find_appended(batch.sent)
            if offset is not None:
                return Appended(offset, -1, log.start_offset)
            appended = self._append(log, batch)
            state.producers.remember(batch.sent, appended.offset)
            return appended

    def _append(self, log: PartitionLog, batch: Batch) -> Appended:
        appended = log.append(batch.data)
        time_ms = -1 if appended.append_time_ms is None else appended.append_time_ms
        return Appended(appended.first_offset, time_ms, log.start_offset)
