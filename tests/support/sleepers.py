"""What processes do whose time is tampered with: whose clock jumps, or who are stopped. Each is called as
`role(connection, ...)` in a process of its own, and does a step for each message; None ends it.
"""

from __future__ import annotations

from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import eventlog
from eventlog import RebalanceListener, StaleMemberError, TopicPartition
from eventlog.clock import now_ms
from tests.support.members import spans_of
from tests.support.stores import TOPIC

_IN_VAIN_SECONDS = 0.05
_FLUSHED_SECONDS_MAX = 40.0


def append_by_clock(connection: Connection, store: Path, partition: int) -> None:
    """Each message is a number of records: append as many with the time of the append, and wait in vain for one more.

    Reports (offsets, milliseconds since the epoch before and after, what the waits returned): the first wait is for a record
    that does not come, the second one for the disk to have what was appended, the third for a producer that lingers."""
    with eventlog.open(store, fsync_interval_ms=20) as log, log.producer(linger_ms=5) as producer:
        log_partition = log.partition(TOPIC, partition)
        while (count := connection.recv()) is not None:
            before = now_ms()
            offsets = [log_partition.append(b"%d" % number) for number in range(count)]
            after = now_ms()
            in_vain = log_partition.wait(2**40, timeout=_IN_VAIN_SECONDS)
            is_on_disk = log_partition.wait(offsets[-1], timeout=_FLUSHED_SECONDS_MAX, durable=True)
            receipt = producer.send(TOPIC, b"lingers", partition=partition)
            has_come = log_partition.wait(offsets[-1] + 1, timeout=_FLUSHED_SECONDS_MAX)
            connection.send((offsets, before, after, (in_vain, is_on_disk, has_come)))
            assert receipt.offset > offsets[-1]


def maintain_by_clock(connection: Connection, store: Path) -> None:
    """With each message a round of housekeeping; report its failures."""
    with eventlog.open(store) as log:
        while connection.recv() is not None:
            connection.send(log.maintain().failures)


class _Diary(RebalanceListener):
    def __init__(self) -> None:
        self.lost_partitions: list[int] = []

    def lost(self, partitions: Sequence[TopicPartition]) -> None:
        self.lost_partitions.extend(place.partition for place in partitions)


def consume_when_told(connection: Connection, store: Path, group: str, options: dict[str, Any]) -> None:
    """Be a member. "poll": report ("polled", [(partition, first, stop)], assigned partitions, partitions that were lost ever);
    "commit": acknowledge what was polled, and report ("committed", [], assigned, lost), or "stale" instead."""
    diary = _Diary()
    with (
        eventlog.open(store, fsync="never") as log,
        log.consumer(TOPIC, group=group, listener=diary, **options) as consumer,
    ):
        while (step := connection.recv()) is not None:
            spans: list[tuple[int, int, int]] = []
            done = "polled"
            if step == "poll":
                spans = spans_of(consumer.poll(timeout=0.02))
            else:
                done = _committed(consumer)
            assigned = sorted(place.partition for place in consumer.assignment())
            connection.send((done, spans, assigned, diary.lost_partitions))


def _committed(consumer: eventlog.Consumer) -> str:
    try:
        consumer.commit()
    except StaleMemberError:
        return "stale"
    return "committed"
