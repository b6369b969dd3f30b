"""The partitions that a consumer has now, read in turn, and one wait for all of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress

from eventlog.consumer.assigned_partition import AssignedPartition
from eventlog.consumer.group_role import GroupRole
from eventlog.consumer.options import ConsumerOptions
from eventlog.errors import EventLogError, StaleMemberError, is_out_of_files
from eventlog.records.record import Record, TopicPartition, as_topic_partition
from eventlog.storage.mapped.offset_slots import OffsetSlot
from eventlog.store.store import Store
from eventlog.waiting import WaitSet


class Assignment:
    """`partitions` by their names, and those that were `moved`: their position differs from the group's. Each gets its turn:
    the partition after the last one that was served, or that raised an error, comes first."""

    def __init__(self, store: Store, options: ConsumerOptions) -> None:
        self.partitions: dict[TopicPartition, AssignedPartition] = {}
        self.moved: set[AssignedPartition] = set()
        self._store = store
        self._options = options
        self._order: list[AssignedPartition] = []
        self._wait_set = WaitSet()
        self._turn = 0

    def add(self, name: TopicPartition, slot: OffsetSlot | None, position: int | None) -> None:
        """Add a partition, to be read from this position on and committed to this slot."""
        options = self._options
        partition = AssignedPartition(
            name, self._store.partitions.open, slot, position, reset=options.auto_offset_reset, durable=options.durable,
            committed=options.is_committed,
        )  # fmt: skip
        with suppress(EventLogError):  # reading it raises the error, and the other partitions continue
            partition.open()
        self._replace({**self.partitions, name: partition})

    def remove(self, name: TopicPartition) -> AssignedPartition | None:
        """Remove a partition; returns it, or None if it was not assigned."""
        partition = self.partitions.get(name)
        if partition is not None:
            self.moved.discard(partition)
            self._replace({each: other for each, other in self.partitions.items() if other is not partition})
            partition.close()
        return partition

    def _replace(self, partitions: dict[TopicPartition, AssignedPartition]) -> None:
        order = list(partitions.values())
        self.partitions, self._order, self._turn = partitions, order, 0  # in one step: no signal handler can interrupt it

    def find(self, name: TopicPartition) -> AssignedPartition:
        """The partition with this name. Raises `StaleMemberError` if it is not assigned, `InvalidTypeError`."""
        wanted = as_topic_partition(name)
        found = self.partitions.get(wanted)
        if found is None:
            raise StaleMemberError(
                f"{wanted} is not assigned to this consumer: it has "
                f"{', '.join(map(str, sorted(self.partitions))) or 'no partitions yet; poll joins the group'}"
            )
        return found

    def select(self, names: Iterable[TopicPartition]) -> list[AssignedPartition]:
        """The partitions with these names, or all if no names are given. Raises `StaleMemberError`, `InvalidTypeError`."""
        return [self.find(name) for name in names] or list(self.partitions.values())

    def fetched(self, records_max: int) -> Iterator[tuple[AssignedPartition, list[Record]]]:
        """The records of one partition after the other, of each once, until there are `records_max` of them.

        A partition that cannot be read raises its error if it comes first, or if the others, which then have their turn before
        it, have no records."""
        order = self._order[self._turn :] + self._order[: self._turn]
        first = self._turn + 1
        failed: tuple[int, EventLogError] | None = None
        is_idle = True
        for next_turn, partition in enumerate(order, first):
            try:
                records = self._fetch(partition, records_max) if not partition.is_paused else []
            except EventLogError as error:
                error.topic_partition = partition.topic_partition
                failed = failed or (next_turn, error)
                if next_turn == first:
                    break
                continue
            if partition.was_moved:
                partition.was_moved = False
                self.moved.add(partition)
            if records:
                is_idle = False
                self._turn = next_turn % len(order)
                yield partition, records
                records_max -= len(records)
                if records_max == 0:
                    return
        if is_idle and failed is not None:
            self._turn = failed[0] % len(order)
            raise failed[1]

    def _fetch(self, partition: AssignedPartition, records_max: int) -> list[Record]:
        """The partition's next records. If this process cannot open more files, the other partitions first close theirs."""
        try:
            return partition.fetch(records_max)
        except EventLogError as error:
            if not is_out_of_files(error):
                raise
        for other in self._order:
            other.close()
        return partition.fetch(records_max)

    def rewind(self) -> None:
        """Forget the records that were read ahead of the positions."""
        for partition in self._order:
            partition.rewind()

    def await_anything(self, role: GroupRole, known_version: int) -> WaitSet:
        """Everything that can end a wait: a record in any partition, a change in the group or the catalog, or a close."""
        wait_set = self._wait_set
        wait_set.clear()
        for partition in self._order:
            if not partition.is_paused:
                partition.await_records(wait_set)
        # The store's close raises a flag, once: so it is seen even if it came just before this.
        wait_set.add_flag(self._store.closing)
        wait_set.add_catalog_change(self._store.signals, known_version)
        if role.table is not None and role.membership is not None:
            role.table.acks.await_change(wait_set, role.membership.known_changes)
        return wait_set
