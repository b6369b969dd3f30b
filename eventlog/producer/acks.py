"""The threads that tell a producer which of its records a group has acknowledged."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Generic, NamedTuple, TypeVar

from eventlog.background import BackgroundThread
from eventlog.errors import EventLogError, StoreClosedError
from eventlog.groups.acknowledgement import await_ack
from eventlog.groups.registry import Groups
from eventlog.producer.partition_sender import PartitionSender
from eventlog.records.record import TopicPartition
from eventlog.waiting import Flag, WaitSet, wait_for_any

_Source = TypeVar("_Source")
NOTHING = 2**63
"""An offset that no record has."""

_RUNS_MAX = 1000
_PAUSE_SECONDS = 1.0  # before a retry after a failure


class Ack(NamedTuple):
    """A group has acknowledged every record of a partition up to and including `offset`."""

    group: str
    topic: str
    partition: int
    offset: int


class Subscription(Generic[_Source]):
    """One callback. `reported` maps each source of acknowledgements to the offset before which everything was reported."""

    def __init__(self, group: str, callback: Callable[[Ack], object], reported: dict[_Source, int]) -> None:
        self.group = group
        self.callback = callback
        self.reported = reported


class AckThread(BackgroundThread, Generic[_Source]):
    """A thread that calls the callbacks of subscriptions, until `stop`.

    A temporary failure does not end it; `take_failures` returns the last one. How it learns what groups have acknowledged is up
    to those that derive from it."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._subscriptions: list[Subscription[_Source]] = []
        self._of_callbacks: list[BaseException] = []
        self._trouble: Exception | None = None

    def _tell(self, subscription: Subscription[_Source], source: _Source, partition: TopicPartition, committed: int) -> None:
        """Report that the group has acknowledged what is before an offset. A callback that raises is not called again."""
        subscription.reported[source] = committed
        try:
            subscription.callback(Ack(subscription.group, *partition, committed - 1))
        except BaseException as error:
            self._of_callbacks.append(error)
            self._subscriptions.remove(subscription)

    def _reported_by_all(self, source: _Source) -> int:
        """The offset before which every subscription was told everything."""
        return min((each.reported.get(source, 0) for each in self._subscriptions), default=0)

    def take_failures(self) -> list[BaseException]:
        """The errors that callbacks raised, and the failure that currently prevents reports. Each is returned once."""
        raised, self._of_callbacks = self._of_callbacks, []
        trouble, self._trouble = self._trouble, None
        return [*raised, *([trouble] if trouble is not None else [])]


class OwnRecords:
    """The offsets of a partition that are a producer's own and not yet acknowledged, as runs, each with a start and an end.

    The sending threads, also in finalizers, and the reporting thread use this without a lock. Each step is a single operation
    of the interpreter, and two at once at worst leave one run in two parts, or one part in two runs."""

    def __init__(self) -> None:
        self._starts: dict[int, int] = {}  # the start of each run, by the offset behind it

    def add(self, first: int, count: int) -> None:
        """Add `count` offsets from `first` on, which are the producer's. Adding them again changes nothing."""
        starts, end = self._starts, first + count
        start = starts.get(first, first)
        starts[end] = min(start, starts.get(end, start))
        starts.pop(first, None)
        if len(starts) > _RUNS_MAX:
            self._join()

    def _join(self) -> None:
        """Bound the memory: merge all runs into one, so that records that others sent in between count as own, too."""
        known = self._starts.copy()
        end = max(known)
        self._starts[end] = min(known.values())
        for each in known.keys() - {end}:
            self._starts.pop(each, None)

    def first_from(self, offset: int) -> int:
        """The first own offset at or after this one; `NOTHING` if no such offset exists."""
        return min((max(start, offset) for end, start in self._starts.copy().items() if end > offset), default=NOTHING)

    def forget_before(self, offset: int) -> None:
        """Drop the offsets before this one, which are no longer needed."""
        for end in [end for end in self._starts.copy() if end <= offset]:
            self._starts.pop(end, None)


class _Sent:
    """What a producer has sent to one partition. A record that is sent before the offset `awaited` wakes the reporting thread,
    because a subscription waits for a later record, or for none."""

    def __init__(self) -> None:
        self.own = OwnRecords()
        self.awaited = NOTHING


class AckNotifier(AckThread[PartitionSender]):
    """Waits for all subscribed groups and all partitions at once. A topic that is deleted and created again has new senders,
    and starts again."""

    def __init__(self, groups: Groups) -> None:
        super().__init__("eventlog-acks")
        self._groups = groups
        self._sent: dict[PartitionSender, _Sent] = {}
        signals = groups.store.signals
        self._changed = Flag(signals)
        self._stopped = Flag(signals)
        self._pause = WaitSet()
        self._pause.add_flag(self._stopped)

    def subscribe(self, group: str, callback: Callable[[Ack], object], senders: Iterable[PartitionSender]) -> None:
        """Report this group's acknowledgements of what is sent from now on, by these senders or by others."""
        reported = {sender: sender.last_offset + 1 for sender in senders}  # earlier records are not reported
        self._subscriptions.append(Subscription(group, callback, reported))
        self._changed.raise_()

    def note(self, sender: PartitionSender, offset: int, count: int) -> None:
        """Note that `count` sent records are in the log, from `offset` on. Noting them again changes nothing."""
        sent = self._sent.get(sender)
        if sent is None:
            sent = self._sent.setdefault(sender, _Sent())
        sent.own.add(offset, count)
        sender.last_offset = max(sender.last_offset, offset + count - 1)
        if offset < sent.awaited:
            self._changed.raise_()

    def run(self) -> None:
        signals, check_usable = self._groups.store.signals, self._groups.store.check_usable
        has_failed = False
        while not self._stopped.raised:
            try:
                if has_failed:
                    wait_for_any(signals, self._pause, _PAUSE_SECONDS, check_usable)
                known = self._changed.raised
                waits = self._report_all()
                self._trouble = None
                has_failed = False
                wait_for_any(signals, self._conditions(known, waits), None, check_usable)
            except StoreClosedError:
                return
            except Exception as error:  # a lock timeout, out of memory: it passes, or comes again
                self._trouble = error
                has_failed = True

    def _conditions(self, known: int, waits: list[tuple[Subscription[PartitionSender], PartitionSender, int]]) -> WaitSet:
        wait_set = WaitSet()
        wait_set.add_flag(self._changed, known)
        for subscription, sender, offset in waits:
            await_ack(self._groups, subscription.group, sender.topic_partition, offset, wait_set)
        return wait_set

    def _report_all(self) -> list[tuple[Subscription[PartitionSender], PartitionSender, int]]:
        """Report what is new; returns what to wait for, as offsets that a group has to commit past.

        An error in one group is raised after the others have been checked."""
        waits = []
        subscriptions = list(self._subscriptions)
        trouble: Exception | None = None
        for sender, sent in list(self._sent.items()):
            if sender.log.is_deleted:
                self._forget(sender)
                continue
            sent.awaited = NOTHING  # a record that is sent after this wakes the thread
            awaited = -1
            for subscription in subscriptions:
                try:
                    offset = self._report(subscription, sender, sent.own)
                except EventLogError as error:
                    trouble = error
                    continue
                if offset < NOTHING:
                    waits.append((subscription, sender, offset))
                awaited = max(awaited, offset)
            sent.own.forget_before(self._reported_by_all(sender))
            sent.awaited = awaited
        if trouble is not None:
            raise trouble
        return waits

    def _forget(self, sender: PartitionSender) -> None:
        """Forget a sender whose topic was deleted: its records will not be acknowledged any more."""
        self._sent.pop(sender, None)
        for subscription in self._subscriptions:
            subscription.reported.pop(sender, None)

    def _report(self, subscription: Subscription[PartitionSender], sender: PartitionSender, own: OwnRecords) -> int:
        """Report what the group has acknowledged of this producer's records; returns the next own offset, or `NOTHING`."""
        table = self._groups.find(subscription.group)
        committed = (table.committed(sender.topic_partition) if table is not None else None) or 0
        following = own.first_from(subscription.reported.get(sender, 0))
        if following >= committed:
            return following
        self._tell(subscription, sender, sender.topic_partition, committed)
        return own.first_from(committed)

    def stop(self) -> None:
        """End the thread. Later acknowledgements are not reported."""
        self._stopped.raise_()
        self._changed.raise_()
        if threading.current_thread() is not self and self.is_alive():
            self.join()
