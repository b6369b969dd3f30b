"""What groups have acknowledged of a producer's records, by asking the cluster for their committed offsets."""

from __future__ import annotations

import threading
from collections.abc import Callable

from eventlog.background import BackgroundThread
from eventlog.errors import EventLogError, StoreClosedError
from eventlog.kafka.cluster import Cluster
from eventlog.producer.acks import NOTHING, Ack, OwnRecords
from eventlog.records.record import TopicPartition

_INTERVAL_SECONDS = 0.1
_TROUBLE_SECONDS = 1.0


def is_acked(cluster: Cluster, group: str, partition: TopicPartition, offset: int) -> bool:
    """Has this group committed past the offset? Raises `TopicNotFoundError` if the topic was deleted."""
    if cluster.committed(group, [partition]).get(partition, 0) > offset:
        return True
    cluster.partition_count(partition.topic)
    return False


def wait_acked(cluster: Cluster, group: str, partition: TopicPartition, offset: int, timeout: float | None) -> bool:
    """Ask until this group has committed past the offset; False after `timeout` seconds."""
    return cluster.wait_until(lambda: is_acked(cluster, group, partition, offset), timeout)


class _Subscription:
    """One callback. `reported` is the offset, by partition, before which everything was reported."""

    def __init__(self, group: str, callback: Callable[[Ack], object], ends: dict[TopicPartition, int]) -> None:
        self.group = group
        self.callback = callback
        self.reported = ends


class AckReporter(BackgroundThread):
    """Asks for the committed offsets of all subscribed groups while records of the producer are not acknowledged yet.

    A broker that does not answer does not end the thread; `take_failures` returns the last failure."""

    def __init__(self, cluster: Cluster) -> None:
        super().__init__("eventlog-kafka-acks")
        self._cluster = cluster
        self._own: dict[TopicPartition, OwnRecords] = {}
        self._ends: dict[TopicPartition, int] = {}
        self._subscriptions: list[_Subscription] = []
        self._changed = threading.Event()
        self._stopped = threading.Event()
        self._of_callbacks: list[BaseException] = []
        self._trouble: EventLogError | None = None

    def note(self, partition: TopicPartition, offset: int) -> None:
        """Note that a record that was sent is in the log."""
        self._own.setdefault(partition, OwnRecords()).add(offset, 1)
        self._ends[partition] = max(self._ends.get(partition, 0), offset + 1)
        self._changed.set()

    def subscribe(self, group: str, callback: Callable[[Ack], object]) -> None:
        """Report this group's acknowledgements of what is sent from now on."""
        self._subscriptions.append(_Subscription(group, callback, self._ends.copy()))
        self._changed.set()

    def run(self) -> None:
        """Ask, report, and pause, until `stop`."""
        while not self._stopped.is_set():
            self._changed.clear()
            try:
                awaits = [self._report(each) for each in list(self._subscriptions)]
                self._trouble = None
                pause = _INTERVAL_SECONDS if any(awaits) else None
            except StoreClosedError:
                return
            except EventLogError as error:
                self._trouble, pause = error, _TROUBLE_SECONDS
            if pause is None:
                self._changed.wait()
            else:
                self._stopped.wait(pause)

    def _report(self, subscription: _Subscription) -> bool:
        """Report what is new; True if there is more to come."""
        reported = subscription.reported
        wanted = [each for each, own in list(self._own.items()) if own.first_from(reported.get(each, 0)) < NOTHING]
        committed = self._cluster.committed(subscription.group, wanted) if wanted else {}
        for partition, offset in committed.items():
            if self._own[partition].first_from(reported.get(partition, 0)) < offset:
                reported[partition] = offset
                self._call(subscription, Ack(subscription.group, *partition, offset - 1))
        for partition in committed:
            least = min((each.reported.get(partition, 0) for each in self._subscriptions), default=0)
            self._own[partition].forget_before(least)
        return any(self._own[each].first_from(reported.get(each, 0)) < NOTHING for each in wanted)

    def _call(self, subscription: _Subscription, ack: Ack) -> None:
        try:
            subscription.callback(ack)
        except BaseException as error:
            self._of_callbacks.append(error)
            self._subscriptions.remove(subscription)

    def take_failures(self) -> list[BaseException]:
        """The errors that callbacks raised, and the failure that currently prevents reports. Each is returned once."""
        raised, self._of_callbacks = self._of_callbacks, []
        trouble, self._trouble = self._trouble, None
        return [*raised, *([trouble] if trouble is not None else [])]

    def stop(self) -> None:
        """End the thread. Later acknowledgements are not reported."""
        self._stopped.set()
        self._changed.set()
        if threading.current_thread() is not self and self.is_alive():
            self.join(self._cluster.seconds)
