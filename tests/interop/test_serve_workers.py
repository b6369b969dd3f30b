"""`eventlog serve --workers N`, whose workers are killed one after the other while clients produce and consume."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import eventlog
from tests.interop.served import Served

confluent_kafka = pytest.importorskip("confluent_kafka")
pytestmark = pytest.mark.clients

PARTITIONS, KILLS, RECORDS_A_KILL = 6, 8, 3000
SECONDS_MAX = 60


@pytest.fixture
def served(store: Path) -> Iterator[Served]:
    served = Served(store, PARTITIONS)
    yield served
    served.stop()


class Sender:
    """Sends numbered values, and remembers which of them were acknowledged, and where."""

    def __init__(self, bootstrap: str, **options: Any) -> None:
        self.producer = confluent_kafka.Producer({"bootstrap.servers": bootstrap, "acks": "all", "linger.ms": 1, **options})
        self.acknowledged: list[tuple[int, int, bytes]] = []
        self.errors: list[Any] = []

    def _delivered(self, error: Any, message: Any) -> None:
        if error is not None:
            self.errors.append(error)
        else:
            self.acknowledged.append((message.partition(), message.offset(), message.value()))

    def send(self, number: int) -> None:
        while True:
            try:
                self.producer.produce("events", b"%d" % number, partition=number % PARTITIONS, on_delivery=self._delivered)
            except BufferError:
                self.producer.poll(1)
                continue
            self.producer.poll(0)
            return


def test_no_acknowledged_record_is_lost_when_workers_are_killed(served: Served) -> None:
    sender = Sender(served.bootstrap)
    for number in range(KILLS * RECORDS_A_KILL):
        sender.send(number)
        if number % RECORDS_A_KILL == RECORDS_A_KILL // 2:
            served.kill_one(number // RECORDS_A_KILL)
    assert sender.producer.flush(SECONDS_MAX) == 0
    assert not sender.errors
    assert len(sender.acknowledged) == KILLS * RECORDS_A_KILL
    with eventlog.open(served.store) as log:
        stored = [log.partition("events", number).read(0, max_records=10**6) for number in range(PARTITIONS)]
    for partition, offset, value in sender.acknowledged:
        assert stored[partition][offset].value == value


def test_consumers_read_everything_in_order_while_workers_are_killed(served: Served) -> None:
    count = KILLS * RECORDS_A_KILL
    with eventlog.open(served.store) as log:
        log.create_topic("events", PARTITIONS)
        for partition in range(PARTITIONS):
            log.partition("events", partition).append_many([b"%d" % number for number in range(partition, count, PARTITIONS)])
    options = {"bootstrap.servers": served.bootstrap, "group.id": "unused", "enable.auto.commit": False}
    small = {"fetch.message.max.bytes": 4096, "queued.min.messages": 100}  # so that fetches are under way all the time
    consumer = confluent_kafka.Consumer({**options, **small})
    consumer.assign([confluent_kafka.TopicPartition("events", partition, 0) for partition in range(PARTITIONS)])
    found: dict[int, list[bytes]] = {partition: [] for partition in range(PARTITIONS)}
    for turn in itertools.count():
        if sum(map(len, found.values())) == count:
            break
        messages = consumer.consume(200, SECONDS_MAX)
        assert messages
        for message in messages:
            if message.error() is None:
                assert message.offset() == len(found[message.partition()])
                found[message.partition()].append(message.value())
        if turn % 12 == 0:
            served.kill_one(turn // 12)
    consumer.close()
    for partition in range(PARTITIONS):
        assert found[partition] == [b"%d" % number for number in range(partition, count, PARTITIONS)]
