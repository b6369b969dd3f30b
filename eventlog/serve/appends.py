"""Appends to partitions."""

from __future__ import annotations

from typing import NamedTuple

from eventlog.serve.batches import Batch
from eventlog.serve.partitions import OpenPartitions
from eventlog.serve.waiting_fetches import WaitingFetches
from eventlog.storage.partition import log as partition_log

_AT_ONCE_BYTES_MAX = 256 * 1024  # a thread would cost more


class Appended(NamedTuple):
    """Where a batch was appended, and its timestamp in milliseconds since the epoch; -1 if its records keep their own."""

    offset: int
    append_time_ms: int
    log_start_offset: int


class Appends:
    """Appends for many connections."""

    def __init__(self, partitions: OpenPartitions, waiting_fetches: WaitingFetches) -> None:
        self._partitions = partitions
        self._waiting_fetches = waiting_fetches

    def append(self, topic: str, partition: int, batch: Batch) -> Appended:
        """Append a batch, unless it was appended before. To be called in a thread, of which
        there may be several. Raises what `PartitionLog.append` raises."""
        log = self._partitions.open(topic, partition)
        appended = log.append_unflushed(batch.data, is_private=True)  # it is in the buffer of a connection that waits
        log.flush_if_always(appended.next_offset)  # of a batch that was appended before, too: that flush may have failed
        return _answered(log, appended)

    def append_at_once(self, topic: str, partition: int, batch: memoryview) -> Appended | None:
        """As `append`, but on the event loop, if that needs no waiting; otherwise append nothing, and return None."""
        log = self._partitions.find(topic, partition) if len(batch) <= _AT_ONCE_BYTES_MAX else None
        appended = None if log is None else log.append_at_once(batch)
        if log is None or appended is None:
            return None
        self._waiting_fetches.appended(topic, partition)
        return _answered(log, appended)


def _answered(log: partition_log.PartitionLog, appended: partition_log.Appended) -> Appended:
    time_ms = -1 if appended.append_time_ms is None else appended.append_time_ms
    return Appended(appended.first_offset, time_ms, log.start_offset)
