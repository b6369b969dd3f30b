"""The work of a consumer: it counts what its caller has finished, attends to its group, fetches, hands out, and waits for more.

`Consumer` is its interface for threads, `AsyncConsumer` the one for tasks.
"""

from __future__ import annotations

import os
import time
import warnings
import weakref
from collections.abc import Generator, Iterable, Sequence
from contextlib import suppress
from re import Pattern

from eventlog.consumer.assignment import Assignment
from eventlog.consumer.commits import Commits
from eventlog.consumer.exclusive_use import ExclusiveUse, StillInUseError
from eventlog.consumer.group_member import GroupMember
from eventlog.consumer.group_role import GroupRole
from eventlog.consumer.group_start import GroupStart
from eventlog.consumer.handout import Handout
from eventlog.consumer.interruption import Interruption
from eventlog.consumer.iteration import Iteration
from eventlog.consumer.options import ConsumerOptions
from eventlog.consumer.partition_source import AssignedByCaller, PartitionSource, SourceContext, WholeTopics
from eventlog.consumer.rebalance import RebalanceListener
from eventlog.consumer.subscription import Subscription, similar
from eventlog.errors import ForkedProcessError, InvalidArgumentError, StoreClosedError
from eventlog.groups.registry import Groups
from eventlog.log import Log
from eventlog.logs import logger
from eventlog.records.record import Record, TopicPartition, as_topic_partitions
from eventlog.waiting import WaitSet, wait_for_any

_log = logger("consumer")

_cores: weakref.WeakSet[ConsumerCore] = weakref.WeakSet()


class ConsumerCore:
    """`use` admits one thread at a time; the caller of a method that does not take it must hold it. No component refers back to
    the core, so it is finalized as soon as no `Consumer`, `AsyncConsumer` or iterator refers to it."""

    def __init__(self, log: Log, groups: Groups, options: ConsumerOptions) -> None:
        self.name = f"<Consumer of {log!r}" + (f" in group {options.group}>" if options.group else ">")
        self.use = ExclusiveUse(self.name)
        self.interruption = Interruption(log.store.signals, self.name)
        self.role = GroupRole(options.listener if options.listener is not None else RebalanceListener())
        self.assignment = Assignment(log.store, options)
        self.handout = Handout(self.assignment, self.role)
        self.commits = Commits(groups, options, self.assignment, self.handout, self.role)
        self._context = SourceContext(log, groups, options, self.assignment, self.handout, self.commits, self.role)
        self._source: PartitionSource = AssignedByCaller(self._context)
        self._log = log
        self._store = log.store
        self._groups = groups
        self._options = options
        self._is_closing = False
        self._is_in_close = False
        _cores.add(self)

    # --- topics and partitions -----------------------------------------------------------------------------

    def subscribe(self, topics: str | Sequence[str] | Pattern[str]) -> None:
        """As `Consumer.subscribe`."""
        if isinstance(self._source, AssignedByCaller) and self.assignment.partitions:
            raise InvalidArgumentError(
                "this consumer has assigned partitions itself, by assign(): use another consumer to subscribe"
            )
        subscription = Subscription(self._log, topics)
        if self._options.group is None:
            self._source = WholeTopics(self._context, subscription)
        else:
            self._source = GroupMember(self._context, subscription, self._options.group)
        for topic in subscription.missing():
            hint = similar(topic, self._log.topics())
            _log.warning("%s: topic %s does not exist, and is waited for%s", self.name, topic, hint)

    def assign(self, names: Iterable[TopicPartition]) -> None:
        """As `Consumer.assign`."""
        if not isinstance(self._source, AssignedByCaller):
            raise InvalidArgumentError("this consumer has subscribed to topics: use another consumer to assign partitions")
        self._source.assign(as_topic_partitions(names))

    @property
    def topics(self) -> tuple[str, ...]:
        """The topics that the consumer subscribes to, sorted."""
        return self._source.topics

    def rewind(self) -> None:
        """As `Consumer.rewind`."""
        if self._options.group is None:
            raise InvalidArgumentError("this consumer is in no group, so it has committed nothing: use seek")
        if self.role.table is not None:
            start = GroupStart(self._store, self.role.table, self._options)
            for name, partition in self.assignment.partitions.items():
                position = start.position(name)
                self.handout.go_back(partition, self.role.table.start(name) if position is None else position)

    # --- handing out ---------------------------------------------------------------------------------------

    def poll(self, timeout: float | None, records_max: int) -> list[Record]:
        """As `Consumer.poll`."""
        deadline = None if timeout is None else time.monotonic() + timeout
        self._settle(None)
        while not self._ends():
            self._attend()
            records = self.handout.take(records_max)
            if records:
                return records
            if records is not None and not self._wait(deadline):
                return []
        return []

    def records(self, *, wait: bool) -> Generator[Record, None, None]:
        """Records until no more exist; with `wait` it never ends. It holds the consumer only while it fetches, not while its
        caller works on a record."""
        iteration = Iteration()
        handout = self.handout
        try:
            while self._refill(iteration, wait):
                attention = self.role.attention
                if self.interruption.is_due:
                    continue  # it came before this object could be asked for attention
                for record in handout.chunk:
                    handout.in_hand = record
                    yield record
                    if attention.wants_attention:
                        break
        finally:
            iteration.is_open = False

    def _refill(self, iteration: Iteration, wait: bool) -> bool:
        """Prepare a chunk of one partition's records, first the rest of the last chunk. False if no records exist, or if the
        consumer was stopped."""
        with self.use.alone:
            self._settle(iteration)
            while not self._ends():
                self._attend()
                if not self.handout.has_chunk:
                    is_to_wait = not self.handout.fetch_chunk()
                    if is_to_wait and not wait:
                        return False
                    if is_to_wait:
                        self._wait(None)
                if self.handout.has_chunk:
                    self.handout.hand_out_by(iteration)
                    return True
            return False

    def _ends(self) -> bool:
        self.role.has_attended()
        return self.interruption.ends()

    def wake_up(self) -> None:
        """As `Consumer.wakeup`."""
        self.interruption.wake_up()
        self.role.ask_for_attention()

    def stop(self) -> None:
        """As `Consumer.stop`."""
        self.interruption.stop()
        self.role.ask_for_attention()

    def _settle(self, iteration: Iteration | None) -> None:
        """The caller asks for more: count what it has thereby finished, and commit what is due with auto_commit."""
        self.handout.ask_for_more(iteration)
        self.commits.commit_if_due()

    def _attend(self) -> None:
        """React to changes: topics were created, members joined or left, the group was reset."""
        is_done = False
        while not is_done:
            self._store.check_usable()
            if self._is_closing:
                raise StoreClosedError(f"{self.name} is closed")  # by a listener
            is_done = self._source.attend(self._store.signals.catalog_version)

    def _wait(self, deadline: float | None) -> bool:
        """Sleep until there may be something to do; False once the time is up."""
        remaining = None if deadline is None else deadline - time.monotonic()
        if remaining is not None and remaining <= 0:
            return False
        within_lease = remaining
        if self.role.membership is not None:  # a waiting member is at work, and must say so before its lease ends
            lease_part = self._options.max_poll_interval_ms / 3000
            within_lease = lease_part if remaining is None else min(remaining, lease_part)
        is_ready = wait_for_any(self._store.signals, self._conditions(), within_lease, self._check)
        return is_ready or within_lease != remaining or deadline is None

    def _conditions(self) -> WaitSet:
        wait_set = self.assignment.await_anything(self.role, self._source.catalog_version)
        self.interruption.add_to(wait_set)
        return wait_set

    def _check(self) -> bool:
        self._store.check_usable()
        self.role.seen()
        return False

    # --- for callers that must not wait --------------------------------------------------------------------

    @property
    def has_group_work(self) -> bool:
        """Will the next `attend` use the catalog, which can take a few milliseconds?"""
        return self._source.has_work(self._store.signals.catalog_version)

    def attend(self) -> None:
        """Join the group, or react to changes in it, as `poll` does."""
        with self.use.alone:
            self._settle(None)
            self._attend()

    def settle(self) -> None:
        """Do everything that `poll` may have to wait for: commit what is due, attend to the group, and choose the positions."""
        with self.use.alone:
            self._settle(None)
            self._attend()
            for partition in self.assignment.partitions.values():
                partition.resolve_position()

    def conditions(self) -> WaitSet:
        """The conditions that end a wait for the next records, in a new object with every call."""
        with self.use.alone:
            return self._conditions().copy()

    # --- the end -------------------------------------------------------------------------------------------

    def close(self, *, is_finished: bool) -> None:
        """As `Consumer.close`; `is_finished` says whether the records that `poll` returned are finished."""
        if self.use.has_ended or self._is_in_close:  # a listener that is called during the close may close, too
            return
        with self.use.alone:
            self._is_in_close = True
            try:
                if not self._is_closing:
                    self._say_goodbye(is_finished)
            finally:
                self._is_in_close = False
                self._leave()

    def close_with_store(self, timeout: float) -> None:
        """Close, if the thread that is using the consumer releases it within `timeout` seconds; its waits end with the store.

        This does not count what was handed out as finished."""
        if not self.use.has_ended:
            with suppress(StillInUseError), self.use.alone_within(timeout):
                self.close(is_finished=False)

    def _say_goodbye(self, is_finished: bool) -> None:
        """Commit what is due, and call the listener. An error here is raised, but the consumer still leaves the group."""
        self._is_closing = True
        membership = self.role.membership if not self._store.is_closed else None
        lost = membership.lost() if membership is not None else []
        if membership is not None:
            membership.disown(lost)
        self.handout.drop(lost)  # first: otherwise it would prevent the commit of the others
        self.handout.set_aside()
        if is_finished:
            self.handout.finish()
        self.commits.commit_finished()
        if lost:
            self.role.listener.lost(lost)
        if membership is not None and membership.owned:
            self.role.listener.revoked(sorted(membership.owned))

    def _leave(self) -> None:
        """Leave the group, then refuse all use. The refusal comes last, so that a close that was interrupted, or could not
        change the catalog, can be repeated. If the store was closed while the consumer was busy, it cannot leave the group."""
        if self.role.membership is not None and not self._store.is_closed:
            self.role.membership.leave()
        self.role.membership = None
        self.handout.drop(list(self.assignment.partitions))
        self.use.end(StoreClosedError(f"{self.name} is closed"))

    def leave_to_parent(self) -> None:
        """In a forked child, refuse all use, and end the iterators."""
        self.handout.commit_in_hand = None
        self.handout.drop_chunk()
        self.use.end(ForkedProcessError(f"{self.name} was made before fork(): open the store again in the child"))

    def __del__(self) -> None:
        """A member that nothing refers to any more leaves its group. A thread of the store does this, because the garbage
        collector may run while any lock is held. What was handed out is not committed."""
        role = getattr(self, "role", None)
        if role is None or role.membership is None or self.use.has_ended or self._store.is_closed:
            return
        self._groups.drop(role.membership)
        what = f"unclosed {self.name}: it leaves its group without committing anything"
        warnings.warn(what, ResourceWarning, stacklevel=2, source=self)


def _after_fork_in_child() -> None:
    for core in list(_cores):
        core.leave_to_parent()


os.register_at_fork(after_in_child=_after_fork_in_child)
