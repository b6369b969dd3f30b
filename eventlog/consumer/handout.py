"""What a consumer hands out: the records that were fetched, and the one that a caller has in hand."""

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
    """`chunk` is what was fetched of one partition for iteration, without what was handed out of it; `in_hand` the record that
    its caller has in hand, None once more was asked for. `commit_in_hand` commits the offset behind that record, where this
    is all that there is to commit; everything that changes what a commit has to do sets it to None first.

    What `poll` takes counts as handed out if `has_returned` was set since. An interrupt may come until then: what its caller
    has not got is handed out again."""

    def __init__(self, assignment: Assignment, role: GroupRole) -> None:
        self.chunk: Iterator[Record] = iter(())
        self.in_hand: Record | None = None
        self.commit_in_hand: Callable[[int], bool] | None = None
        self.has_returned = False
        self._assignment = assignment
        self._role = role
        self._partition: AssignedPartition | None = None  # of the chunk
        self._iteration: Iteration | None = None  # which hands it out
        self._polled: list[tuple[AssignedPartition, int]] = []  # taken by the last poll, with the positions behind that
        self._overtaken: list[Iteration] = []  # those with a record in hand that others have gone past

    # --- fetching ------------------------------------------------------------------------------------------

    @property
    def has_chunk(self) -> bool:
        """Is there anything in the chunk?"""
        return self._partition is not None and operator.length_hint(self.chunk) > 0

    def fetch_chunk(self) -> bool:
        """Have the next chunk; False: there is none. What was read while the group changed may be another member's: then there
        is nothing in the chunk, and True is returned."""
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
        """Records for `poll`: first what iteration has fetched but not handed out, then what the partitions have. None: the
        group changed meanwhile, and what was read may be another member's.

        The caller sets `has_returned` as the last thing that it does."""
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
            except EventLogError:  # raised again by the next poll; what was read before it must not be lost
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

    def _rewind(self) -> None:
        """Memory ran out, or a signal handler has raised: what was read is yet to be handed out."""
        self._assignment.rewind()
        self.drop_chunk()

    def drop_chunk(self) -> None:
        """Forget what is in the chunk. An iterator that is going through it comes to its end."""
        deque(self.chunk, maxlen=0)
        self._partition = None

    # --- the record in hand --------------------------------------------------------------------------------

    def ask_for_more(self, iteration: Iteration | None) -> None:
        """The caller asks for more, by an iteration or by `poll`, and so has finished what it got before: all but the records
        that other iterations have in hand."""
        self.set_aside()
        current = self._iteration
        if current is not None and current is not iteration and current.is_open and self._partition is not None:
            self.stop(self._partition)  # so that the other iterator comes here before it goes on
        if self._overtaken:
            self._overtaken = [other for other in self._overtaken if other.is_open and other is not iteration]

    def hand_out_by(self, iteration: Iteration) -> None:
        """This iteration goes through the chunk now."""
        self.set_aside()  # what a listener has in hand
        self._iteration = iteration
        self.allow_short_commit()

    def set_aside(self) -> None:
        """The record in hand stays in the hand of its iteration, which is not asked for the next one now."""
        self.commit_in_hand = None
        self.count_in_hand()
        if self.in_hand is not None:
            assert self._iteration is not None and self._partition is not None
            self._iteration.partition, self._iteration.offset = self._partition, self.in_hand.offset
            self._overtaken.append(self._iteration)
            self.in_hand = None

    def count_in_hand(self) -> None:
        """What `poll` has returned counts as handed out, and so does the record in hand; those before it count as finished."""
        if self._polled:
            self._count_polled()
        if self.in_hand is not None and self._partition is not None:
            self._partition.position = self._partition.position_behind(self.in_hand)
            self._partition.finish(self.in_hand.offset)
            self._assignment.moved.add(self._partition)
            self._hold_back()

    def _count_polled(self) -> None:
        """May be interrupted, and is done again then."""
        for partition, position in self._polled:
            if self.has_returned:
                self._assignment.moved.add(partition)
                partition.position = position
            else:
                self._rewind_one(partition)
        self._polled = []

    def finish(self) -> None:
        """Everything that was handed out is finished, but for what iterations have in hand."""
        for partition in self._assignment.moved:
            partition.finish(partition.position)
        self._hold_back()

    def _hold_back(self) -> None:
        for iteration in self._overtaken:
            iteration.partition.hold_back(iteration.offset)

    def allow_short_commit(self) -> None:
        """Let a commit be short while the record in hand is the only one that is not committed."""
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
        """Go on at this offset. Raises `OffsetOutOfRangeError`."""
        partition.check_within(offset)
        self.commit_in_hand = None  # the record in hand is not all that is to be committed then
        self.stop(partition)
        partition.seek(offset)
        self._assignment.moved.add(partition)

    def stop(self, partition: AssignedPartition) -> None:
        """Forget what was read ahead of this partition."""
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
        """These partitions are not the consumer's any more: what was handed out or read ahead of them counts no more."""
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
