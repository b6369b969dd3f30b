"""Where a group begins in a partition, and where it goes on."""

from __future__ import annotations

from contextlib import suppress

from eventlog.errors import EventLogError
from eventlog.groups.table import GroupTable
from eventlog.records.record import TopicPartition
from eventlog.storage.mapped.offset_slots import NOTHING_COMMITTED
from eventlog.store.store import Store


class GroupStart:
    """For one group, by its consumer's auto_offset_reset."""

    def __init__(self, store: Store, table: GroupTable, reset: str) -> None:
        self._store = store
        self._table = table
        self._reset = reset

    def first_offset(self, partition: TopicPartition) -> int:
        """Where the group begins in a partition that it has never read, or `NOTHING_COMMITTED`."""
        if self._reset != "error":
            with suppress(EventLogError, OSError):  # which reading it raises
                bounds = self._store.partitions.offsets(*partition)
                is_at_end = self._reset == "latest" and not self._is_newer_than_group(partition)
                return bounds.end_offset if is_at_end else bounds.start_offset
        return NOTHING_COMMITTED

    def position(self, partition: TopicPartition) -> int | None:
        """Where the group goes on; None where that is left to auto_offset_reset."""
        committed = self._table.committed(partition)
        if committed is None and self._reset == "latest":
            with suppress(EventLogError):
                return self._table.start(partition) if self._is_newer_than_group(partition) else None
        return committed

    def _is_newer_than_group(self, partition: TopicPartition) -> bool:
        """Was the partition added when the group was there? Then "latest" must not skip what came before it was noticed."""
        topic = self._store.catalog.topics.find(partition.topic)
        return topic.made_by(partition.partition) > self._table.incarnation
