"""The records that a consumer hands out: those that were fetched, and the one that the caller has in hand."""

from __future__ import annotations

import operator
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice

from eventlog.consumer.assigned_partition import AssignedPartition
from eventlog.consumer.assignment import Assignment
from eventlog.consumer.group_role import GroupRole
from eventlog.consumer.iteration import Iteration
from eventlog.errors import EventLogError
from eventlog.records.record import Record, TopicPartition

_CHUNK_RECORDS = 500

_Fetched = list[tuple[AssignedPartition, list[Record]]]


class Handout:
    """`chunk` contains the records of one partition that were fetched for iteration and not handed out yet. `in_hand` is the
    record that the caller has in hand, None once the caller has asked for more. `commit_in_hand` commits the offset behind that
    record if nothing else has to be committed. Everything that changes what a commit has to do sets it to None first.

    The records that `poll` takes count as handed out once `has_returned` is set. An interrupt may come until then: records that
    the caller did not get are handed out again."""

    def __init__(self, assignment: Assignment, role: GroupRole) -> None:
        self.chunk: Iterator[Record] = iter(())
        self.in_hand: Record | None = None
        self.commit_in_hand: Callable[[int], bool] | None = None
        self.has_returned = False
        self._assignment = assignment
        self._role = role
        self._partition: AssignedPartition | None = None  # the one that the chunk is of
        self._iteration: Iteration | None = None  # the one that hands out the chunk
        self._polled: list[tuple[AssignedPartition, int]] = []  # what the last poll took, with the positions behind it
        self._overtaken: list[Iteration] = []  # those whose record in hand others have passed

    # --- fetching ------------------------------------------------------------------------------------------

    @property
    def has_chunk(self) -> bool:
        """Does the chunk contain records?"""
        return self._partition is not None and operator.length_hint(self.chunk) > 0

    def fetch_chunk(self) -> bool:
        """Fetch the next chunk; False if no records exist. If the group changed meanwhile, the records may belong to another
        member: then the chunk is empty, and True is returned."""
        self.count_in_hand()
        self._partition = None
        try:
            partition, records = next(self._assignment.fetched(_CHUNK_RECORDS), (None, []))
            if partition is not None and self._role.is_current:
                self.chunk = iter(records)
                self._partition = partition
            elif partition is not None:
                partition.rewind()
        except EventLogError:
            raise
        except BaseException:
            self._rewind()
            raise
        return partition is not None

    def take(self, records_max: int) -> list[Record] | None:
        """Records for `poll`: first those that iteration has fetched but not handed out, then those of the partitions. None if
        the group changed meanwhile: then the records may belong to another member.

        The caller sets `has_returned` as its last step."""
        self.count_in_hand()
        try:
            return self._hand_over(self._fetch(records_max))
        except EventLogError:
            raise
        except BaseException:
            self._rewind()
            raise

    def _fetch(self, records_max: int) -> _Fetched:
        fetched: _Fetched = []
        if self._partition is not None and self.has_chunk:
            records = list(islice(self.chunk, records_max))
            fetched.append((self._partition, records))
            records_max -= len(records)
        else:
            self._partition = None
        if records_max > 0:
            try:
                fetched.extend(self._assignment.fetched(records_max))
            except EventLogError:  # the next poll raises it again; records that were read before it must not be lost
                if not fetched:
                    raise
        return fetched

    def _hand_over(self, fetched: _Fetched) -> list[Record] | None:
        if not self._role.is_current:
            for partition, _ in fetched:
                partition.rewind()
            self.drop_chunk()
            return None if fetched else []
        handed_out = fetched[0][1] if len(fetched) == 1 else [record for _, records in fetched for record in records]
        polled = [(partition, partition.position_behind(records[-1])) for partition, records in fetched]
        self._polled, self.has_returned = polled, False
        return handed_out

    def give_back(self, records: Iterable[Record]) -> None:
        """Leave these records, the last ones that `take` has just returned, to be handed out again."""
        first: dict[TopicPartition, int] = {}
        for record in records:
            first.setdefault(TopicPartition(record.topic, record.partition), record.offset)
        self._polled = [(partition, first.get(partition.topic_partition, behind)) for partition, behind in self._polled]
        for partition in {partition for partition, _ in self._polled if partition.topic_partition in first}:
            self._rewind_one(partition)

    def _rewind(self) -> None:
        """Go back after an out-of-memory error or an exception of a signal handler: the records are still to be handed out."""
        self._assignment.rewind()
        self.drop_chunk()

    def drop_chunk(self) -> None:
        """Forget the records in the chunk. An iterator that is going through it ends."""
        deque(self.chunk, maxlen=0)
        self._partition = None

    # --- the record in hand --------------------------------------------------------------------------------

    def ask_for_more(self, iteration: Iteration | None) -> None:
        """The caller asks for more, by an iteration or by `poll`. So it has finished what it got before, except for the records
        that other iterations have in hand."""
        self.set_aside()
        current = self._iteration
        if current is not None and current is not iteration and current.is_open and self._partition is not None:
            self.stop(self._partition)  # so that the other iterator comes here before it continues
        if self._overtaken:
            self._overtaken = [other for other in self._overtaken if other.is_open and other is not iteration]

    def hand_out_by(self, iteration: Iteration) -> None:
        """Let this iteration go through the chunk from now on."""
        self.set_aside()  # the record that a listener has in hand
        self._iteration = iteration
        self.allow_short_commit()

    def set_aside(self) -> None:
        """Leave the record in hand with its iteration, which was not asked for the next record."""
        self.commit_in_hand = None
        self.count_in_hand()
        if self.in_hand is not None:
            assert self._iteration is not None and self._partition is not None
            self._iteration.partition, self._iteration.offset = self._partition, self.in_hand.offset
            self._overtaken.append(self._iteration)
            self.in_hand = None

    def count_in_hand(self) -> None:
        """Count what `poll` returned, and the record in hand, as handed out, and the records before that one as finished."""
        if self._polled:
            self._count_polled()
        if self.in_hand is not None and self._partition is not None:
            self._partition.position = self._partition.position_behind(self.in_hand)
            self._partition.finish(self.in_hand.offset)
            self._assignment.moved.add(self._partition)
            self._hold_back()

    def _count_polled(self) -> None:
        """Count what `poll` returned. If this is interrupted, it is repeated."""
        for partition, position in self._polled:
            if self.has_returned:
                self._assignment.moved.add(partition)
                partition.position = position
            else:
                self._rewind_one(partition)
        self._polled = []

    def finish(self) -> None:
        """Count everything that was handed out as finished, except for the records that iterations have in hand."""
        for partition in self._assignment.moved:
            partition.finish(partition.position)
        self._hold_back()

    def _hold_back(self) -> None:
        for iteration in self._overtaken:
            iteration.partition.hold_back(iteration.offset)

    def allow_short_commit(self) -> None:
        """Allow the short commit while the record in hand is the only one that is not committed."""
        partition = self._partition
        may_be_short = partition is not None and not self._assignment.moved and not partition.is_before_gap
        self.commit_in_hand = partition.try_commit if partition is not None and may_be_short else None

    # --- one partition -------------------------------------------------------------------------------------

    def position(self, partition: AssignedPartition) -> int:
        """The offset of the next record to hand out. Raises `NoCommittedOffsetError`."""
        if self._polled:
            self._count_polled()
        if partition is self._partition and self.in_hand is not None:
            return partition.position_behind(self.in_hand)
        return partition.resolve_position()

    def seek(self, partition: AssignedPartition, offset: int) -> None:
        """Continue at this offset. Raises `OffsetOutOfRangeError`."""
        partition.check_within(offset)
        self.commit_in_hand = None  # more than the record in hand has to be committed after this
        self.stop(partition)
        partition.seek(offset)
        self._assignment.moved.add(partition)

    def go_back(self, partition: AssignedPartition, position: int | None) -> None:
        """Continue at the offset that the group has committed; None if it has committed nothing."""
        self.commit_in_hand = None
        self.stop(partition)
        partition.go_back(position)
        self._assignment.moved.discard(partition)

    def stop(self, partition: AssignedPartition) -> None:
        """Forget the records of this partition that were read ahead."""
        if self._polled:
            self._count_polled()
        if partition is self._partition:
            self.set_aside()
        self._rewind_one(partition)

    def _rewind_one(self, partition: AssignedPartition) -> None:
        if partition is self._partition:
            partition.rewind(self.chunk)
            self._partition = None
        else:
            partition.rewind()

    def drop(self, names: Iterable[TopicPartition]) -> None:
        """Remove partitions that the consumer no longer owns, with what was handed out or read ahead of them."""
        for name in names:
            partition = self._assignment.remove(name)
            if partition is not None:
                self._forget(partition)

    def _forget(self, partition: AssignedPartition) -> None:
        self._polled = [(other, position) for other, position in self._polled if other is not partition]
        self._overtaken = [iteration for iteration in self._overtaken if iteration.partition is not partition]
        if partition is self._partition:
            self.commit_in_hand = None
            self.drop_chunk()
            self.in_hand = None
