"""The offset at which a group begins in a partition, and the one at which it continues."""

from __future__ import annotations

from contextlib import suppress

from eventlog.consumer.options import ConsumerOptions
from eventlog.errors import EventLogError
from eventlog.groups.table import GroupTable
from eventlog.records.record import TopicPartition
from eventlog.storage.mapped.offset_slots import NOTHING_COMMITTED
from eventlog.store.store import Store


class GroupStart:
    """Finds the offsets for one group, by the consumer's auto_offset_reset."""

    def __init__(self, store: Store, table: GroupTable, options: ConsumerOptions) -> None:
        self._store = store
        self._table = table
        self._reset = options.auto_offset_reset
        self._is_committed = options.is_committed

    def first_offset(self, partition: TopicPartition) -> int:
        """The offset at which the group begins in a partition that it has never read, or `NOTHING_COMMITTED`."""
        if self._reset != "error":
            with suppress(EventLogError, OSError):  # reading the partition raises the error
                bounds = self._store.partitions.offsets(*partition)
                is_at_end = self._reset == "latest" and not self._is_newer_than_group(partition)
                if is_at_end and self._is_committed:
                    return self._store.partitions.open(*partition).stable_offset
                return bounds.end_offset if is_at_end else bounds.start_offset
        return NOTHING_COMMITTED

    def position(self, partition: TopicPartition) -> int | None:
        """The offset at which the group continues; None if auto_offset_reset decides it."""
        committed = self._table.committed(partition)
        if committed is None and self._reset == "latest":
            with suppress(EventLogError):
                return self._table.start(partition) if self._is_newer_than_group(partition) else None
        return committed

    def _is_newer_than_group(self, partition: TopicPartition) -> bool:
        """Was the partition added after the group was created? Then "latest" must not skip records that were appended before
        the group noticed the partition."""
        topic = self._store.catalog.topics.find(partition.topic)
        return topic.made_by(partition.partition) > self._table.incarnation
