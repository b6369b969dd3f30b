"""Appends to partitions; each batch of an idempotent producer is appended once."""

from __future__ import annotations

import threading
import weakref
from typing import NamedTuple

from eventlog.serve.batches import Batch
from eventlog.serve.partitions import OpenPartitions
from eventlog.serve.producers import NO_PRODUCER, PartitionProducers
from eventlog.storage.partition.log import PartitionLog

_AT_ONCE_BYTES_MAX = 64 * 1024


class Appended(NamedTuple):
    """Where a batch was appended, and its timestamp in milliseconds since the epoch; -1 if its records keep their own."""

    offset: int
    append_time_ms: int
    log_start_offset: int


class _State:
    """What is remembered about a partition. The lock is held while a batch of an idempotent producer is appended."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.producers = PartitionProducers()


class Appends:
    """Appends for many connections. Safe for several threads."""

    def __init__(self, partitions: OpenPartitions) -> None:
        self._partitions = partitions
        self._states: weakref.WeakKeyDictionary[PartitionLog, _State] = weakref.WeakKeyDictionary()
        self._lock = threading.Lock()

    def append(self, topic: str, partition: int, batch: Batch) -> Appended:
        """Append a batch, unless it was appended before. To be called in a thread.

        Raises `RefusedError`, and what `PartitionLog.append` raises."""
        appended = self._append_once(self._partitions.open(topic, partition), batch, may_wait=True)
        assert appended is not None
        return appended

    def append_at_once(self, topic: str, partition: int, batch: Batch) -> Appended | None:
        """As `append`, but on the event loop, if that needs no waiting; otherwise append nothing, and return None."""
        if batch.is_compressed or len(batch.data) > _AT_ONCE_BYTES_MAX:
            return None
        log = self._partitions.find(topic, partition)
        return None if log is None else self._append_once(log, batch, may_wait=False)

    def _append_once(self, log: PartitionLog, batch: Batch, *, may_wait: bool) -> Appended | None:
        if batch.sent.producer_id == NO_PRODUCER:
            appended = _append(log, batch, may_wait)
        else:
            appended = self._append_unless_appended(log, batch, may_wait)
        if appended is not None:
            log.flush_if_always(appended.offset + batch.sent.record_count)  # without the lock, and again for a retry
        return appended

    def _append_unless_appended(self, log: PartitionLog, batch: Batch, may_wait: bool) -> Appended | None:
        with self._lock:
            state = self._states.setdefault(log, _State())
        if not state.lock.acquire(blocking=may_wait):
            return None
        try:
            offset = state.producers.find_appended(batch.sent)
            if offset is not None:
                return None if log.flush_always and not may_wait else Appended(offset, -1, log.start_offset)
            appended = _append(log, batch, may_wait)
            if appended is not None:
                state.producers.remember(batch.sent, appended.offset)
            return appended
        finally:
            state.lock.release()


def _append(log: PartitionLog, batch: Batch, may_wait: bool) -> Appended | None:
    appended = log.append_unflushed(batch.data) if may_wait else log.append_at_once(batch.data)
    if appended is None:
        return None
    time_ms = -1 if appended.append_time_ms is None else appended.append_time_ms
    return Appended(appended.first_offset, time_ms, log.start_offset)
