"""The partitions that a consumer has now, in turn, and one sleep for all of them."""

from __future__ import annotations

from collections.abc import Iterator

from eventlog.consumer.assigned_partition import AssignedPartition
from eventlog.errors import EventLogError, is_out_of_files
from eventlog.groups.table import GroupTable
from eventlog.records.record import Record, TopicPartition
from eventlog.store.store import Store
from eventlog.waiting import WaitSet


class Assignment:
    """`lanes` by partition, and those that were `moved`: they have another position than the group. Each gets its turn: what
    follows the one that was served last, or has raised an error, is looked at first."""

    def __init__(self, store: Store) -> None:
        self.lanes: dict[TopicPartition, AssignedPartition] = {}
        self.moved: set[AssignedPartition] = set()
        self._store = store
        self._order: list[AssignedPartition] = []
        self._wait_set = WaitSet()
        self._turn = 0

    def add(self, lane: AssignedPartition) -> None:
        """Have one partition more."""
        self._have({**self.lanes, lane.topic_partition: lane})

    def remove(self, partition: TopicPartition) -> AssignedPartition | None:
        """Have one less."""
        lane = self.lanes.get(partition)
        if lane is not None:
            self.moved.discard(lane)
            self._have({each: other for each, other in self.lanes.items() if other is not lane})
            lane.close()
        return lane

    def _have(self, lanes: dict[TopicPartition, AssignedPartition]) -> None:
        order = list(lanes.values())
        self.lanes, self._order, self._turn = lanes, order, 0  # together: no signal's handler comes in between

    def fetched(self, records_max: int, reset: str) -> Iterator[tuple[AssignedPartition, list[Record]]]:
        """The records of one partition after the other, of each once, until there are enough of them.

        A partition that cannot be read raises its error when it comes first, or when the others have nothing: then they have
        their turn before it."""
        order = self._order[self._turn :] + self._order[: self._turn]
        first = self._turn + 1
        failed: tuple[int, EventLogError] | None = None
        is_idle = True
        for place, lane in enumerate(order, first):
            try:
                records = self._fetch(lane, records_max, reset) if not lane.is_paused else []
            except EventLogError as error:
                error.topic_partition = lane.topic_partition
                failed = failed or (place, error)
                if place == first:
                    break
                continue
            if lane.was_moved:
                lane.was_moved = False
                self.moved.add(lane)
            if records:
                is_idle = False
                self._turn = place % len(order)
                yield lane, records
                records_max -= len(records)
                if records_max == 0:
                    return
        if is_idle and failed is not None:
            self._turn = failed[0] % len(order)
            raise failed[1]

    def _fetch(self, lane: AssignedPartition, records_max: int, reset: str) -> list[Record]:
        """The next records of a lane; where this process may open no more files, the others close theirs till their turn."""
        try:
            return lane.fetch(records_max, reset)
        except EventLogError as error:
            if not is_out_of_files(error):
                raise
        for other in self._order:
            other.close()
        return lane.fetch(records_max, reset)

    def await_anything(self, table: GroupTable | None, known_changes: int | None, known_version: int) -> WaitSet:
        """Everything that can end a wait: a record in any partition, a change in the group or the catalog, the end."""
        wait_set = self._wait_set
        wait_set.clear()
        for lane in self._order:
            if not lane.is_paused:
                lane.await_records(wait_set)
        # The end of the store: raised once, so that it is seen also where it came just before this.
        wait_set.add_flag(self._store.closing)
        wait_set.add_catalog_change(self._store.signals, known_version)
        if table is not None and known_changes is not None:
            table.acks.await_change(wait_set, known_changes)
        return wait_set
