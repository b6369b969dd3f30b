"""What groups have acknowledged of a producer's records, by asking the cluster for their committed offsets."""

from __future__ import annotations

import threading
from collections.abc import Callable

from eventlog.errors import EventLogError, StoreClosedError
from eventlog.kafka.cluster import Cluster
from eventlog.producer.acks import NOTHING, Ack, AckThread, OwnRecords, Subscription
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


class AckReporter(AckThread[TopicPartition]):
    """Asks for the committed offsets of all subscribed groups while records of the producer are not acknowledged yet."""

    def __init__(self, cluster: Cluster) -> None:
        super().__init__("eventlog-kafka-acks")
        self._cluster = cluster
        self._own: dict[TopicPartition, OwnRecords] = {}
        self._ends: dict[TopicPartition, int] = {}
        self._changed = threading.Event()
        self._stopped = threading.Event()

    def note(self, partition: TopicPartition, offset: int) -> None:
        """Note that a record that was sent is in the log."""
        self._own.setdefault(partition, OwnRecords()).add(offset, 1)
        self._ends[partition] = max(self._ends.get(partition, 0), offset + 1)
        self._changed.set()

    def subscribe(self, group: str, callback: Callable[[Ack], object]) -> None:
        """Report this group's acknowledgements of what is sent from now on."""
        self._subscriptions.append(Subscription(group, callback, self._ends.copy()))
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

    def _report(self, subscription: Subscription[TopicPartition]) -> bool:
        """Report what is new; True if there is more to come."""
        reported = subscription.reported
        wanted = [each for each, own in list(self._own.items()) if own.first_from(reported.get(each, 0)) < NOTHING]
        committed = self._cluster.committed(subscription.group, wanted) if wanted else {}
        for partition, offset in committed.items():
            if self._own[partition].first_from(reported.get(partition, 0)) < offset:
                self._tell(subscription, partition, partition, offset)
        for partition in committed:
            self._own[partition].forget_before(self._reported_by_all(partition))
        return any(self._own[each].first_from(reported.get(each, 0)) < NOTHING for each in wanted)

    def stop(self) -> None:
        """End the thread. Later acknowledgements are not reported."""
        self._stopped.set()
        self._changed.set()
        if threading.current_thread() is not self and self.is_alive():
            self.join(self._cluster.seconds)
