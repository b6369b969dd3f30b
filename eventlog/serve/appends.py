"""Appends to partitions."""

from __future__ import annotations

from typing import NamedTuple

from eventlog.serve.batches import Batch
from eventlog.serve.partitions import OpenPartitions
from eventlog.storage.partition import log as partition_log

AT_ONCE_BYTES_MAX = 64 * 1024


class Appended(NamedTuple):
    """Where a batch was appended, and its timestamp in milliseconds since the epoch; -1 if its records keep their own."""

    offset: int
    append_time_ms: int
    log_start_offset: int


class Appends:
    """Appends for many connections. Safe for several threads."""

    def __init__(self, partitions: OpenPartitions) -> None:
        self._partitions = partitions

    def append(self, topic: str, partition: int, batch: Batch) -> Appended:
        """Append a batch, unless it was appended before. To be called in a thread. Raises what `PartitionLog.append` raises."""
        log = self._partitions.open(topic, partition)
        appended = log.append_unflushed(batch.data)
        log.flush_if_always(appended.next_offset)  # of a batch that was appended before, too: that flush may have failed
        return _answered(log, appended)

    def append_at_once(self, topic: str, partition: int, batch: Batch) -> Appended | None:
        """As `append`, but on the event loop, if that needs no waiting; otherwise append nothing, and return None."""
        if batch.codec or len(batch.data) > AT_ONCE_BYTES_MAX:
            return None
        log = self._partitions.find(topic, partition)
        appended = None if log is None else log.append_at_once(batch.data)
        return None if log is None or appended is None else _answered(log, appended)


def _answered(log: partition_log.PartitionLog, appended: partition_log.Appended) -> Appended:
    time_ms = -1 if appended.append_time_ms is None else appended.append_time_ms
    return Appended(appended.first_offset, time_ms, log.start_offset)
