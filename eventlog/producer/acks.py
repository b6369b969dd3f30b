"""The thread that tells a producer which of its records a group has acknowledged."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import NamedTuple

from eventlog.errors import EventLogError, StoreClosedError
from eventlog.groups.acknowledgement import await_ack
from eventlog.groups.registry import Groups
from eventlog.producer.lane import Lane
from eventlog.waiting import Awaited, Flag, wait_for_any


class Ack(NamedTuple):
    """A group has acknowledged every record of a partition up to and including `offset`."""

    group: str
    topic: str
    partition: int
    offset: int


class _Subscription:
    """One callback. `reported` is, by lane, the offset before which everything was reported; it is all that is remembered,
    however many records are on their way. A topic that is deleted and made anew has lanes of its own, and begins anew."""

    def __init__(self, group: str, callback: Callable[[Ack], object]) -> None:
        self.group = group
        self.callback = callback
        self.reported: dict[Lane, int] = {}


class AckNotifier(threading.Thread):
    """Waits for all subscribed groups and all partitions at once."""

    def __init__(self, groups: Groups) -> None:
        super().__init__(name="eventlog-acks", daemon=True)
        self._groups = groups
        self._lock = threading.Lock()
        self._subscriptions: list[_Subscription] = []
        self._sent: dict[Lane, None] = {}  # the lanes that records were sent to
        self._changed = Flag(groups.internals.signals)
        self._is_stopped = False
        self._failure: BaseException | None = None

    def subscribe(self, group: str, callback: Callable[[Ack], object]) -> None:
        """Report this group's acknowledgements from now on."""
        with self._lock:
            self._subscriptions.append(_Subscription(group, callback))
        self._changed.raise_()

    def note(self, lane: Lane, offset: int) -> None:
        """A record was sent; its offset is -1 while it waits to be appended."""
        lane.sent(offset)
        if lane not in self._sent or lane.is_settled:
            lane.is_settled = False
            self._sent[lane] = None
            self._changed.raise_()

    def run(self) -> None:
        while not self._is_stopped:
            known = self._changed.raised
            try:
                waits = self._report_all()
                awaited = Awaited(2 * len(waits) + 1)
                self._changed.await_raise(awaited, 0, known)
                for place, (subscription, lane, offset) in enumerate(waits):
                    await_ack(self._groups, subscription.group, lane.topic_partition, offset, awaited, 2 * place + 1)
                wait_for_any(self._groups.internals.signals, awaited, None, self._groups.internals.check_usable)
            except StoreClosedError:
                return
            except EventLogError as error:
                self._failure = self._failure or error
                return

    def _report_all(self) -> list[tuple[_Subscription, Lane, int]]:
        """Report what is new; returns what has to be waited for, as offsets that a group has to commit past."""
        with self._lock:
            subscriptions = list(self._subscriptions)
        waits = []
        for lane in list(self._sent):
            if lane.log.is_deleted:
                self._forget(lane, subscriptions)
                continue
            lane.is_settled = True  # a record sent after this looks here again
            outstanding = [self._report(subscription, lane) for subscription in subscriptions]
            for subscription, offset in zip(subscriptions, outstanding, strict=True):
                if offset is not None:
                    waits.append((subscription, lane, offset))
                    lane.is_settled = False
        return waits

    def _forget(self, lane: Lane, subscriptions: list[_Subscription]) -> None:
        """The topic was deleted: nobody acknowledges its records any more."""
        del self._sent[lane]
        for subscription in subscriptions:
            subscription.reported.pop(lane, None)

    def _report(self, subscription: _Subscription, lane: Lane) -> int | None:
        table = self._groups.find(subscription.group)
        committed = (table.committed(lane.topic_partition) if table is not None else None) or 0
        reported = subscription.reported.setdefault(lane, min(committed, max(lane.last_offset, 0)))
        if committed > reported:
            subscription.reported[lane] = committed
            self._call(subscription, Ack(subscription.group, *lane.topic_partition, committed - 1))
        return committed if committed <= lane.last_offset or lane.has_waiting else None

    def _call(self, subscription: _Subscription, ack: Ack) -> None:
        try:
            subscription.callback(ack)
        except BaseException as error:
            self._failure = self._failure or error
            with self._lock:
                self._subscriptions.remove(subscription)

    def take_failures(self) -> list[BaseException]:
        """What a callback has raised, once."""
        failure, self._failure = self._failure, None
        return [failure] if failure is not None else []

    def stop(self) -> None:
        """End the thread; what was not acknowledged by now is not reported any more."""
        self._is_stopped = True
        self._changed.raise_()
        if threading.current_thread() is not self and self.is_alive():
            self.join()
