"""The consumer: records of its partitions in offset order, and how far it has come with them."""

from __future__ import annotations

import functools
import operator
import os
import sys
import threading
import time
import warnings
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from re import Pattern
from types import TracebackType
from typing import Any, NoReturn

from eventlog.consumer.assigned_partition import AssignedPartition
from eventlog.consumer.assignment import Assignment
from eventlog.consumer.hand import Hand
from eventlog.consumer.options import ConsumerOptions
from eventlog.consumer.rebalance import RebalanceListener
from eventlog.consumer.subscription import Subscription
from eventlog.errors import (
    ConcurrentUseError,
    EventLogError,
    ForkedProcessError,
    GroupNotFoundError,
    InvalidArgumentError,
    InvalidTypeError,
    StaleMemberError,
    StoreClosedError,
)
from eventlog.groups.coordinator import JoinRequest
from eventlog.groups.membership import Membership
from eventlog.groups.persister import persist
from eventlog.groups.registry import Groups
from eventlog.groups.table import GroupTable
from eventlog.holding import Trying
from eventlog.log import Log
from eventlog.options import check_number, check_offset, check_timeout
from eventlog.records.record import Record, TopicPartition, as_topic_partition, as_topic_partitions
from eventlog.storage.mapped.offset_slots import NOBODY, NOTHING_COMMITTED, OffsetSlot, commit_all
from eventlog.waiting import WaitSet, wait_for_any

_CHUNK_RECORDS = 500
_RECORDS_MAX = 2**63 - 1

_consumers: weakref.WeakSet[Consumer] = weakref.WeakSet()


class Consumer:
    """Reads topics, alone or with others in a group; for one thread at a time. Made by `EventLog.consumer`."""

    def __init__(
        self,
        log: Log,
        groups: Groups,
        topics: str | Sequence[str] | Pattern[str] | None,
        options: ConsumerOptions,
    ) -> None:
        self.group = options.group
        self._options = options
        self._log = log
        self._store = log.store
        self._groups = groups
        self._reset = options.auto_offset_reset
        self._auto_commit_s = options.auto_commit_s
        self._listener = options.listener if options.listener is not None else RebalanceListener()
        self._lock: Any = threading.RLock()
        self._subscription: Subscription | None = None
        self._catalog_version = -1
        self._has_looked = False  # without a group: were the topics of the subscription looked at?
        self._membership: Membership | None = None
        self._table: GroupTable | None = None
        self._assigned = Assignment(self._store)
        # Iteration: the chunk that is being handed out, its partition, the iterator that does so, and the record that its
        # caller has in hand.
        self._chunk: Iterator[Record] = iter(())
        self._lane: AssignedPartition | None = None
        self._hand: Hand | None = None
        self._record: Record | None = None
        self._holding: list[Hand] = []  # iterators with a record in hand that others have gone past
        self._commit_record: Callable[[int], bool] | None = None
        self._attention: Any = _Undisturbed
        self._committed_at = time.monotonic()
        self._fenced: StaleMemberError | None = None
        self._is_closing = False
        self._is_in_close = False
        if topics is not None:
            self.subscribe(topics)
        _consumers.add(self)

    def __enter__(self) -> Consumer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close(is_finished=kind is None)

    def __repr__(self) -> str:
        return f"<Consumer of {self._log!r}" + (f" in group {self.group}>" if self.group else ">")

    # --- what is read --------------------------------------------------------------------------------------

    def subscribe(self, topics: str | Sequence[str] | Pattern[str]) -> None:
        """Read these topics, or those that match a compiled pattern, also when they are created later.

        In a group the partitions are shared with the other members; the first `poll` joins. Raises `InvalidArgumentError`
        after `assign`, `InvalidTypeError`."""
        with self._exclusively():
            if self._subscription is None and self._assigned.lanes:
                raise InvalidArgumentError(
                    "this consumer has assigned partitions itself, by assign(): use another consumer to subscribe"
                )
            self._subscription = Subscription(self._log, topics)
            self._catalog_version = -1
            self._has_looked = False

    def assign(self, partitions: Iterable[TopicPartition]) -> None:
        """Read exactly these partitions, without sharing them. With a group, its committed offsets are where it begins, and
        commits work as long as no member owns the partition.

        Raises `InvalidArgumentError` after `subscribe`, `TopicNotFoundError`."""
        with self._exclusively():
            if self._subscription is not None:
                raise InvalidArgumentError("this consumer has subscribed to topics: use another consumer to assign partitions")
            logs = {partition: self._store.partitions.open(*partition) for partition in as_topic_partitions(partitions)}
            self._table = None if self.group is None else self._groups.open(self.group)
            self._lay_aside()
            self._commit_finished_by_itself()
            self._drop(
                [each for each, lane in self._assigned.lanes.items() if each not in logs or lane.log is not logs[each]]
            )
            new = [partition for partition in logs if partition not in self._assigned.lanes]
            if self._table is None:
                for partition in new:
                    self._add(partition, None, None)
            else:
                self._table.begin(new, self._starting_offset)
                for partition in new:
                    self._add(partition, self._table.ack(partition, NOBODY), self._position_of_group(partition, self._table))
            self._catalog_version = -1

    def assignment(self) -> set[TopicPartition]:
        """The partitions that are this consumer's now; in a group they are assigned during `poll`."""
        with self._exclusively():
            return set(self._assigned.lanes)

    def subscription(self) -> tuple[str, ...]:
        """The topics that this consumer subscribes to, sorted."""
        with self._exclusively():
            return self._subscription.topics if self._subscription is not None else ()

    # --- reading -------------------------------------------------------------------------------------------

    def poll(self, timeout: float | None = 1.0, max_records: int = 500) -> list[Record]:
        """Up to `max_records` records; [] when there are none for `timeout` seconds (None: wait without an end).

        Keeps the membership alive and takes part in rebalances. Raises `OffsetOutOfRangeError` or
        `NoCommittedOffsetError` with auto_offset_reset="error", `CorruptLogError`, `TopicNotFoundError` when the topic of an
        assigned partition was deleted, and `StaleMemberError` when another process took over this static member."""
        check_timeout(timeout)
        check_number("max_records", max_records, 1, _RECORDS_MAX)
        with self._exclusively():
            deadline = None if timeout is None else time.monotonic() + timeout
            self._settle()
            while True:
                self._attend()
                records = self._take(max_records)
                if records:
                    return records
                if records is not None and not self._wait(deadline):
                    return []

    def __iter__(self) -> Iterator[Record]:
        """Every record, one after the other; waits for more at the end.

        A record counts as handed out, for `commit` and `position`, once it was yielded."""
        return self._hand_out(wait=True)

    def _hand_out(self, wait: bool) -> Iterator[Record]:
        """Records until there are no more; with `wait` there are always more."""
        hand = Hand()
        try:
            while self._refill(hand, wait):
                attention = self._attention
                for record in self._chunk:
                    self._record = record
                    yield record
                    if attention.wants_attention:
                        break
        finally:
            hand.is_open = False

    def _refill(self, hand: Hand, wait: bool) -> bool:
        """Have a chunk of one partition's records ready; what is left of the last one goes first."""
        with self._exclusively():
            lane = self._lane
            self._settle(hand)
            while True:
                self._attend()
                if lane is not None and lane is self._lane and operator.length_hint(self._chunk):
                    break
                is_to_wait = not self._fetch_chunk()
                if self._lane is not None:
                    break
                if is_to_wait and not wait:
                    return False
                if is_to_wait:
                    self._wait(None)
            self._hand = hand
            self._allow_short_commit()
            self._attention = self._membership if self._membership is not None else _Undisturbed
            return True

    def _fetch_chunk(self) -> bool:
        """Have the next chunk; without one `_lane` is None. False: there is none. What was read while the group changed may be
        another member's now."""
        self._lane = None
        try:
            lane, records = next(self._assigned.fetched(_CHUNK_RECORDS, self._reset), (None, []))
            if lane is not None and self._is_undisturbed():
                self._chunk = iter(records)
                self._lane = lane
            elif lane is not None:
                lane.rewind()
        except EventLogError:
            raise
        except BaseException:
            self._rewind()
            raise
        return lane is not None

    def _rewind(self) -> None:
        """Memory ran out, or a signal's handler has raised: what was read is yet to be handed out."""
        for lane in self._assigned.lanes.values():
            lane.rewind()
        self._drop_chunk()

    def _settle(self, hand: Hand | None = None) -> None:
        """The caller asks for more, by an iterator or by `poll`, and so has finished what it got before: all but the records
        that other iterators have in hand. Commit what is due with auto_commit."""
        self._commit_record = None
        if self._record is not None:
            self._lay_aside()
        if self._hand is not None and self._hand is not hand and self._hand.is_open and self._lane is not None:
            self._hand_out_no_more_of(self._lane)  # so that the other iterator comes here before it goes on
        if self._holding:
            self._holding = [other for other in self._holding if other.is_open and other is not hand]
        if self._auto_commit_s is not None:
            self._finish()
            if time.monotonic() - self._committed_at >= self._auto_commit_s:
                self._commit_finished_by_itself()

    def _lay_aside(self) -> None:
        """The record in hand stays in the hand of its iterator, which is not asked for the next one now."""
        self._commit_record = None
        if self._record is not None:
            self._count_record()
            assert self._hand is not None and self._lane is not None
            self._hand.lane, self._hand.offset = self._lane, self._record.offset
            self._holding.append(self._hand)
            self._record = None

    def _count_record(self) -> None:
        """The record that iteration handed out last counts as handed out, and those before it as finished."""
        if self._record is not None and self._lane is not None:
            self._lane.position = self._lane.position_behind(self._record)
            self._lane.finish(self._record.offset)
            self._assigned.moved.add(self._lane)
            self._mind_hands()

    def _finish(self) -> None:
        """Everything that was handed out is finished, but for what iterators have in hand."""
        for lane in self._assigned.moved:
            lane.finish(lane.position)
        self._mind_hands()

    def _mind_hands(self) -> None:
        for hand in self._holding:
            hand.lane.hold_back(hand.offset)

    def _take(self, records_max: int) -> list[Record] | None:
        """Records for `poll`: first what iteration has read but not handed out, then what the partitions have. None: the group
        changed meanwhile, and what was read may be another member's."""
        try:
            return self._hand_over(self._gather(records_max))
        except EventLogError:
            raise
        except BaseException:
            self._rewind()
            raise

    def _gather(self, records_max: int) -> list[tuple[AssignedPartition, list[Record]]]:
        taken: list[tuple[AssignedPartition, list[Record]]] = []
        if self._lane is not None and operator.length_hint(self._chunk):
            records = list(islice(self._chunk, records_max))
            taken.append((self._lane, records))
            records_max -= len(records)
        else:
            self._lane = None
        if records_max > 0:
            try:
                taken.extend(self._assigned.fetched(records_max, self._reset))
            except EventLogError:  # raised again by the next poll; what was read before it must not be lost
                if not taken:
                    raise
        return taken

    def _hand_over(self, taken: list[tuple[AssignedPartition, list[Record]]]) -> list[Record] | None:
        if not self._is_undisturbed():
            for lane, _ in taken:
                lane.rewind()
            self._drop_chunk()
            return None if taken else []
        handed_out = taken[0][1] if len(taken) == 1 else [record for _, records in taken for record in records]
        positions = [(lane, lane.position_behind(records[-1])) for lane, records in taken]
        self._assigned.moved.update(lane for lane, _ in positions)
        for lane, position in positions:  # last, and without an allocation: nothing may fail once a position has moved
            lane.position = position
        return handed_out

    def _is_undisturbed(self) -> bool:
        """Is what was just read still this member's to hand out?"""
        return self._membership is None or not self._membership.has_changed

    def _drop_chunk(self) -> None:
        deque(self._chunk, maxlen=0)  # a generator that is going through it has to come to its end, too
        self._lane = None

    def _wait(self, deadline: float | None) -> bool:
        """Sleep until there may be something to do; False when the time is up."""
        remaining = None if deadline is None else deadline - time.monotonic()
        if remaining is not None and remaining <= 0:
            return False
        within_lease = remaining
        if self._membership is not None:  # who waits is at work: it has to be seen before its lease ends
            lease_part = self._options.max_poll_interval_ms / 3000
            within_lease = lease_part if remaining is None else min(remaining, lease_part)
        is_ready = wait_for_any(self._store.signals, self._conditions(), within_lease, self._look)
        return is_ready or within_lease != remaining or deadline is None

    def _conditions(self) -> WaitSet:
        """Everything that can end a wait."""
        known_changes = self._membership.known_changes if self._membership is not None else None
        return self._assigned.await_anything(self._table, known_changes, self._catalog_version)

    def _look(self) -> bool:
        self._store.check_usable()
        if self._membership is not None:
            self._membership.seen()
        return False

    # --- the group -----------------------------------------------------------------------------------------

    def _attend(self) -> None:
        """Take account of what happened: topics created, members come and gone, the group reset."""
        self._store.check_usable()
        if self._is_closing:
            raise StoreClosedError(f"{self!r} is closed")  # by a listener
        if self._fenced is not None:
            raise StaleMemberError(*self._fenced.args)  # joining again would fence the other one, and so on
        version = self._store.signals.catalog_version
        is_due = version != self._catalog_version
        if self._subscription is None:
            if is_due:
                self._look_at_assigned()
                self._catalog_version = version
            return
        if self.group is None:
            if is_due:
                self._subscription.resolve()
                self._assign_everything(self._subscription)
                self._catalog_version = version
            return
        if is_due:
            self._subscription.resolve()
            self._catalog_version = version
        if self._membership is None or not self._membership.has_joined:
            self._join(self._subscription)
        elif is_due:
            self._resubscribe(self._membership, self._subscription)
        while self._membership is not None and self._membership.has_changed:
            membership = self._membership
            try:
                self._review(membership)
            except BaseException:
                membership.known_changes = -1  # what a listener or a lock interrupted is done by the next call
                raise
        if self._membership is None:
            self._attend()  # expelled: join again
        else:
            self._membership.seen()

    def _look_at_assigned(self) -> None:
        """Note which partitions by `assign` cannot be read any more."""
        if not self._assigned.lanes:
            raise InvalidArgumentError("this consumer has nothing to read: subscribe to topics, or assign partitions")
        for lane in self._assigned.lanes.values():
            lane.is_gone = lane.is_deleted

    def _assign_everything(self, subscription: Subscription) -> None:
        """Read all partitions of the topics; those that were added since the last look from their first record on."""
        wanted = []
        for name in subscription.topics:
            with suppress(LookupError):  # not created yet
                wanted += [TopicPartition(name, number) for number in range(self._log.topic(name).partitions)]
        self._drop([each for each, lane in self._assigned.lanes.items() if each not in wanted or lane.is_deleted])
        for partition in wanted:
            if partition not in self._assigned.lanes:
                self._add(partition, None, 0 if self._has_looked and self._reset == "latest" else None)
        self._has_looked = True

    def _join(self, subscription: Subscription) -> None:
        assert self.group is not None
        options = self._options
        request = JoinRequest(
            subscription.topics,
            options.assignor,
            options.max_poll_interval_ms,
            options.session_timeout_ms,
            options.instance_id,
        )
        while self._membership is None or not self._membership.has_joined:
            if self._membership is not None:
                self._membership.abandon()  # an error, or what a signal's handler raised, kept it from joining
            self._table = self._groups.open(self.group)
            try:
                self._membership = Membership(self._groups, self._table, request)
                self._membership.join()  # apart, so that it can be abandoned
            except GroupNotFoundError:
                continue  # deleted between the two

    def _resubscribe(self, membership: Membership, subscription: Subscription) -> None:
        with suppress(StaleMemberError, GroupNotFoundError):  # the review that follows deals with these
            membership.subscribe(subscription.topics)

    def _review(self, membership: Membership) -> None:
        try:
            review = membership.review()
        except (StaleMemberError, GroupNotFoundError) as error:
            self._fenced = error if isinstance(error, StaleMemberError) else None
            membership.abandon()
            self._membership = None
            self._lose(membership, sorted(self._assigned.lanes))
            raise
        self._lose(membership, review.lost)
        if review.is_expelled:
            membership.abandon()
            self._membership = None
            return
        if review.revoked:
            self._revoke(membership, review.revoked)
        if self._membership is not membership:
            return  # a listener has closed this consumer
        membership.take(self._starting_offset)
        new = sorted(membership.owned.keys() - self._assigned.lanes.keys())
        try:
            for partition in new:
                ack = membership.owned[partition]
                self._add(partition, ack, self._position_of_group(partition, membership.group))
        except BaseException:
            self._drop(new)  # the next call tries it again
            raise
        if new:
            self._listener.assigned(new)

    def _starting_offset(self, partition: TopicPartition) -> int:
        """Where the group begins in a partition that it has never read, or `NOTHING_COMMITTED`."""
        if self._reset != "error":
            with suppress(EventLogError, OSError):  # which reading it raises
                bounds = self._store.partitions.offsets(*partition)
                is_at_end = self._reset == "latest" and not self._is_newer_than_group(partition)
                return bounds.end_offset if is_at_end else bounds.start_offset
        return NOTHING_COMMITTED

    def _is_newer_than_group(self, partition: TopicPartition) -> bool:
        """Was the partition added when the group was there? Then "latest" must not skip what came before it was noticed."""
        assert self._table is not None
        topic = self._store.catalog.topics.find(partition.topic)
        return topic.made_by(partition.partition) > self._table.incarnation

    def _position_of_group(self, partition: TopicPartition, table: GroupTable) -> int | None:
        """Where the group goes on; None where that is left to auto_offset_reset."""
        committed = table.committed(partition)
        if committed is None and self._reset == "latest":
            with suppress(EventLogError):
                return table.start(partition) if self._is_newer_than_group(partition) else None
        return committed

    def _lose(self, membership: Membership, partitions: list[TopicPartition]) -> None:
        self._drop(partitions)
        membership.disown(partitions)  # then: the next review comes back to what a signal's handler has interrupted
        if partitions:
            self._listener.lost(partitions)

    def _revoke(self, membership: Membership, partitions: list[TopicPartition]) -> None:
        try:
            self._commit_finished_by_itself()
            self._listener.revoked(partitions)
        finally:
            self._drop(partitions)
            membership.give_up(partitions)

    def _add(self, partition: TopicPartition, ack: OffsetSlot | None, position: int | None) -> None:
        lane = AssignedPartition(partition, self._store.partitions.open, ack, position, durable=self._options.durable)
        with suppress(EventLogError):  # which reading it raises, while the others go on
            lane.open()
        self._assigned.add(lane)

    def _drop(self, partitions: Iterable[TopicPartition]) -> None:
        for partition in partitions:
            lane = self._assigned.remove(partition)
            if lane is not None:
                self._let_go(lane)

    def _let_go(self, lane: AssignedPartition) -> None:
        """What was handed out or read ahead of this partition counts no more."""
        self._holding = [hand for hand in self._holding if hand.lane is not lane]
        if lane is self._lane:
            self._commit_record = None
            self._drop_chunk()
            self._record = None

    # --- committing ----------------------------------------------------------------------------------------

    def commit(self, offsets: Mapping[TopicPartition, int] | None = None, *, sync: bool = False) -> None:
        """Acknowledge everything before the positions: what was handed out, the record that iteration has just handed out
        included, and what `seek` went past. Or what stands before the given offset of each partition.

        At once visible to every process, and it survives the death of any. With `sync` it is on disk on return, else within a
        second. A commit behind what is committed changes nothing: only `Group.reset` takes an acknowledgement back. Raises
        `StaleMemberError` if a partition is not this consumer's any more, and then nothing was committed."""
        # Iteration that commits after each record: as short as can be. It needs no lock: a thread inside the consumer has
        # set _commit_record to None before anything else.
        commit_record, record = self._commit_record, self._record
        is_short = commit_record is not None and record is not None and offsets is None and not sync
        if is_short and commit_record(record.offset + 1):  # type: ignore[misc, union-attr]
            return
        with self._exclusively():
            self._commit(offsets, sync)

    def _commit(self, offsets: Mapping[TopicPartition, int] | None, sync: bool) -> None:
        if self.group is None:
            raise InvalidArgumentError("this consumer is in no group: give it one with group= to commit")
        if offsets is None:
            self._commit_positions()
            self._allow_short_commit()
        else:
            self._commit_again_if_deleted(lambda: commit_all(self._checked(offsets)))
        if sync and self._table is not None:
            persist(self._store, self._table, flush=True)

    def _commit_positions(self) -> None:
        self._count_record()
        self._commit_again_if_deleted(
            lambda: commit_all([(lane.ack, lane.position or 0) for lane in self._assigned.moved if lane.ack is not None])
        )
        self._assigned.moved.clear()
        self._committed_at = time.monotonic()

    def _commit_finished_by_itself(self) -> None:
        """With auto_commit: commit what is finished. What was lost meanwhile is found by the next look at the group."""
        if self._auto_commit_s is None or not self._is_store_open():
            return
        finished = [lane for lane in self._assigned.moved if lane.finished is not None]
        with suppress(StaleMemberError):
            self._commit_again_if_deleted(
                lambda: commit_all([(each.ack, each.finished) for each in finished if each.ack and each.finished is not None])
            )
            self._assigned.moved.difference_update([lane for lane in finished if lane.finished == lane.position])
            self._committed_at = time.monotonic()

    def _commit_again_if_deleted(self, commit: Callable[[], None]) -> None:
        """Commit. Where that is refused, a member looks at the group again with its next poll, whoever should have told it;
        and for a consumer with `assign`, whose group was deleted or has expired, the group is made anew, and the commit done
        again."""
        try:
            commit()
        except StaleMemberError:
            if self._membership is not None:
                self._membership.known_changes = -1
            if self._membership is not None or self._table is None or not self._table.acks.is_deleted:
                raise
            assert self.group is not None
            self._table = self._groups.open(self.group)
            for partition, lane in self._assigned.lanes.items():
                lane.commit_by(self._table.ack(partition, NOBODY))
            commit()

    def _allow_short_commit(self) -> None:
        """Let `commit` be short while the record that iteration hands out is the only one that is not committed."""
        lane = self._lane
        may_be_short = lane is not None and not self._assigned.moved and not lane.is_before_gap
        self._commit_record = lane.commit_record if lane is not None and may_be_short else None

    def _checked(self, offsets: Mapping[TopicPartition, int]) -> list[tuple[OffsetSlot, int]]:
        if not isinstance(offsets, Mapping):
            raise InvalidTypeError(f"offsets must be a mapping of TopicPartition to int, not {type(offsets).__name__}")
        acks = []
        for partition, offset in offsets.items():
            lane = self._lane_of(partition)
            assert lane.ack is not None
            if check_offset(offset) > lane.log.end_offset:
                raise InvalidArgumentError(
                    f"offset {offset} of {lane.topic_partition} is past its end, {lane.log.end_offset}: nothing was committed"
                )
            acks.append((lane.ack, offset))
        return acks

    def committed(self, partition: TopicPartition) -> int | None:
        """The committed offset of a partition in this consumer's group, whoever committed it; None while there is none."""
        with self._exclusively():
            if self.group is None:
                return None
            table = self._groups.find(self.group)
            return table.committed(as_topic_partition(partition)) if table is not None else None

    # --- positions -----------------------------------------------------------------------------------------

    def position(self, partition: TopicPartition) -> int:
        """The offset of the next record that this consumer hands out. Raises `StaleMemberError` if the partition is not its."""
        with self._exclusively():
            lane = self._lane_of(partition)
            if lane is self._lane and self._record is not None:
                return lane.position_behind(self._record)
            return lane.resolve_position(self._reset)

    def seek(self, partition: TopicPartition, offset: int) -> None:
        """Go on at this offset, which is the position now: `commit` commits it.

        Raises `OffsetOutOfRangeError`, and `StaleMemberError` if the partition is not this one's."""
        with self._exclusively():
            self._seek(self._lane_of(partition), check_offset(offset))

    def seek_to_beginning(self, *partitions: TopicPartition) -> None:
        """Go on at the first record of these partitions, or of all assigned ones."""
        with self._exclusively():
            for lane in self._lanes_of(partitions):
                self._seek(lane, lane.log.start_offset)

    def seek_to_end(self, *partitions: TopicPartition) -> None:
        """Go on behind the last record of these partitions, or of all assigned ones."""
        with self._exclusively():
            for lane in self._lanes_of(partitions):
                self._seek(lane, lane.log.end_offset)

    def seek_to_time(self, timestamp: int, *partitions: TopicPartition) -> None:
        """Go on at the first record with this timestamp (milliseconds since the epoch) or a later one; behind the last where
        there is none. For these partitions, or all assigned ones."""
        with self._exclusively():
            for lane in self._lanes_of(partitions):
                found = lane.log.offset_for_time(timestamp)
                self._seek(lane, lane.log.end_offset if found is None else found)

    def _seek(self, lane: AssignedPartition, offset: int) -> None:
        lane.check_within(offset)
        self._commit_record = None  # the record in hand is not all that is to be committed then
        self._hand_out_no_more_of(lane)
        lane.seek(offset)
        self._assigned.moved.add(lane)

    def _hand_out_no_more_of(self, lane: AssignedPartition) -> None:
        """Forget what was read ahead of this partition."""
        if lane is self._lane:
            self._lay_aside()
            lane.rewind(self._chunk)
            self._lane = None
        else:
            lane.rewind()

    def pause(self, *partitions: TopicPartition) -> None:
        """Hand out nothing of these partitions until `resume`."""
        with self._exclusively():
            for lane in self._lanes_of(partitions):
                lane.is_paused = True
                self._hand_out_no_more_of(lane)

    def resume(self, *partitions: TopicPartition) -> None:
        """Hand out records of these partitions again."""
        with self._exclusively():
            for lane in self._lanes_of(partitions):
                lane.is_paused = False

    def paused(self) -> set[TopicPartition]:
        """The partitions that are paused."""
        with self._exclusively():
            return {partition for partition, lane in self._assigned.lanes.items() if lane.is_paused}

    def _lanes_of(self, partitions: tuple[TopicPartition, ...]) -> list[AssignedPartition]:
        return [self._lane_of(partition) for partition in partitions] or list(self._assigned.lanes.values())

    def _lane_of(self, partition: TopicPartition) -> AssignedPartition:
        wanted = as_topic_partition(partition)
        lane = self._assigned.lanes.get(wanted)
        if lane is None:
            raise StaleMemberError(
                f"{wanted} is not assigned to this consumer: it has "
                f"{', '.join(map(str, sorted(self._assigned.lanes))) or 'no partitions yet; poll joins the group'}"
            )
        return lane

    # --- life ----------------------------------------------------------------------------------------------

    def __del__(self) -> None:
        """A member that nobody has any more leaves its group, in a thread of the store: the garbage collector may come by
        while any lock is held. What was handed out is not committed."""
        membership = getattr(self, "_membership", None)
        if membership is None or isinstance(self._lock, _Refusing) or not self._is_store_open():
            return
        self._groups.drop(membership)
        what = f"unclosed {self!r}: it leaves its group without committing anything"
        warnings.warn(what, ResourceWarning, stacklevel=2, source=self)

    def close(self) -> None:
        """Leave the group, so that others have the partitions at once.

        With auto_commit what is finished is committed: what `poll` returned is, unless an exception is being handled just
        now, and a record that iteration has handed out is not, because the next one was never asked for. Leaving a `with`
        block closes in the same way. A close that was interrupted, or raised an error, may be repeated."""
        self._close(is_finished=sys.exc_info()[0] is None)

    def close_with_store(self, timeout: float) -> None:
        """Close, if the thread that is using the consumer lets go of it in time; its waits end with the store.

        Nobody says by this that what was handed out is finished."""
        lock = self._lock
        if isinstance(lock, _Refusing):
            return
        with suppress(_StillInUse), Trying(functools.partial(lock.acquire, timeout=timeout), lock.release, _give_up):
            self._close(is_finished=False)

    def _close(self, *, is_finished: bool) -> None:
        if isinstance(self._lock, _Refusing) or self._is_in_close:  # a listener that hears of the end may close, too
            return
        with self._exclusively():
            self._is_in_close = True
            try:
                if not self._is_closing:
                    self._say_goodbye(is_finished)
            finally:
                self._is_in_close = False
                self._leave()

    def _say_goodbye(self, is_finished: bool) -> None:
        """Commit what is due, and tell the listener. What goes wrong here is raised, but keeps nobody in the group."""
        self._is_closing = True
        membership = self._membership if self._is_store_open() else None
        lost = membership.lost() if membership is not None else []
        if membership is not None:
            membership.disown(lost)
        self._drop(lost)  # first, so that it keeps nothing else from being committed
        self._lay_aside()
        if is_finished:
            self._finish()
        self._commit_finished_by_itself()
        if lost:
            self._listener.lost(lost)
        if membership is not None and membership.owned:
            self._listener.revoked(sorted(membership.owned))

    def _leave(self) -> None:
        """Leave the group, and let nobody use the consumer any more: that last, so that a close that was interrupted, or could
        not change the catalog, is done again."""
        if self._membership is not None and self._is_store_open():
            self._membership.leave()
        self._membership = None
        self._drop(list(self._assigned.lanes))
        self._lock = _Refusing(StoreClosedError(f"{self!r} is closed"))

    def _is_store_open(self) -> bool:
        """Not where the store was closed over a consumer that was busy: then nothing can be left or committed any more."""
        return not self._log.is_closed

    def _exclusively(self) -> Trying:
        lock = self._lock
        return Trying(functools.partial(lock.acquire, False), lock.release, self._refuse_concurrent_use)

    def _refuse_concurrent_use(self) -> NoReturn:
        raise ConcurrentUseError(f"{self!r} is in use by another thread: give each thread its own consumer")

    def _leave_to_parent(self) -> None:
        """In a forked child: nothing here may be used, and iterators come to their end."""
        self._commit_record = None
        self._drop_chunk()
        self._lock = _Refusing(ForkedProcessError(f"{self!r} was made before fork(): open the store again in the child"))


def has_group_work(consumer: Consumer) -> bool:
    """Will the next `attend` talk to the catalog, which can take a few milliseconds?"""
    membership = consumer._membership
    is_outdated = consumer._catalog_version != consumer._store.signals.catalog_version
    return consumer._subscription is not None and (
        is_outdated or (consumer.group is not None and (membership is None or membership.has_changed))
    )


def attend(consumer: Consumer) -> None:
    """Join the group, or take account of what happened in it, as `poll` does."""
    with consumer._exclusively():
        consumer._settle()
        consumer._attend()


def settle(consumer: Consumer) -> None:
    """Do all that `poll` may have to wait for: commit what is due, attend to the group, and choose where to begin."""
    with consumer._exclusively():
        consumer._settle()
        consumer._attend()
        for lane in consumer._assigned.lanes.values():
            lane.resolve_position(consumer._reset)


@contextmanager
def without_waiting(consumer: Consumer) -> Iterator[None]:
    """A block in which no commit waits for another process: `LockTimeoutError` comes at once, and nothing was committed."""
    acks = [lane.ack.native for lane in consumer._assigned.lanes.values() if lane.ack is not None]
    for ack in acks:
        ack.timeout_ms = 0
    try:
        yield
    finally:
        for ack in acks:
            ack.timeout_ms = consumer._store.options.lock_timeout_ms


def close_as(consumer: Consumer, *, is_finished: bool) -> None:
    """Close; `is_finished` says whether what `poll` returned is."""
    consumer._close(is_finished=is_finished)


def hand_out_now(consumer: Consumer) -> Iterator[Record]:
    """Iterate over the records that are there, without waiting for more."""
    return consumer._hand_out(wait=False)


def await_work(consumer: Consumer) -> WaitSet:
    """What a wait for the next records has to wait for; a new object with every call."""
    with consumer._exclusively():
        return consumer._conditions().copy()


class _Undisturbed:
    """Stands for the membership of a consumer without a group."""

    wants_attention = False


class _Refusing:
    """In place of the lock of a consumer that cannot be used any more: so nothing has to be checked before every use."""

    def __init__(self, why: EventLogError) -> None:
        self._why = why

    def acquire(self, blocking: bool = True, timeout: float = -1) -> NoReturn:
        raise type(self._why)(*self._why.args)

    def release(self) -> None:
        """Nobody has it."""


class _StillInUse(Exception):
    """The thread that is using a consumer did not let go of it in time."""


def _give_up() -> NoReturn:
    raise _StillInUse


def _after_fork_in_child() -> None:
    for consumer in list(_consumers):
        consumer._leave_to_parent()


os.register_at_fork(after_in_child=_after_fork_in_child)
