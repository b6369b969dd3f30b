"""Consumers and transactions: what is read before a transaction ends, after it, and when it was aborted."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import eventlog
from eventlog import EventLog, InvalidArgumentError, Partition
from tests.support import made_batches, stores
from tests.support.made_batches import Made
from tests.support.stores import TOPIC

TRANSACTIONAL = 0x10


@pytest.fixture
def log(tmp_path: Path) -> Iterator[EventLog]:
    stores.create(tmp_path / "store")
    with eventlog.open(tmp_path / "store") as log:
        yield log


@pytest.fixture
def partition(log: EventLog) -> Partition:
    return stores.open_partition(log)


class Producer:
    """A transactional producer of one partition."""

    def __init__(self, partition: Partition, producer_id: int) -> None:
        self._log = partition.log
        self._id = producer_id
        self._sequence = 0

    def append(self, *values: bytes) -> int:
        batch = made_batches.batch(
            [Made(value) for value in values],
            producer_id=self._id,
            producer_epoch=0,
            base_sequence=self._sequence,
            attributes=TRANSACTIONAL,
        )
        self._sequence += len(values)
        return self._log.append(batch).first_offset

    def end(self, *, commit: bool) -> None:
        assert self._log.append_marker(self._id, 0, 0, commit=commit) is not None


def polled(consumer: eventlog.Consumer) -> list[bytes | None]:
    return [record.value for record in consumer.poll(timeout=0)]


def test_records_of_a_transaction_are_read_once_it_is_committed(log: EventLog, partition: Partition) -> None:
    producer = Producer(partition, 7)
    with log.consumer(TOPIC) as consumer, log.consumer(TOPIC, isolation="read_uncommitted") as everything:
        partition.append(b"before")
        producer.append(b"a", b"b")
        partition.append(b"behind")
        assert polled(consumer) == [b"before"]
        assert polled(consumer) == []
        assert polled(everything) == [b"before", b"a", b"b", b"behind"]
        producer.end(commit=True)
        assert polled(consumer) == [b"a", b"b", b"behind"]
        assert polled(consumer) == polled(everything) == []


def test_records_of_an_aborted_transaction_are_passed_over(log: EventLog, partition: Partition) -> None:
    aborting, committing = Producer(partition, 7), Producer(partition, 8)
    with log.consumer(TOPIC, group="g") as consumer, log.consumer(TOPIC, isolation="read_uncommitted") as everything:
        aborting.append(b"never")
        committing.append(b"a")
        aborting.append(b"never either")
        aborting.end(commit=False)
        assert polled(consumer) == []
        committing.end(commit=True)
        assert polled(consumer) == [b"a"]
        assert polled(everything) == [b"never", b"a", b"never either"]
        aborting.append(b"this one")
        aborting.end(commit=True)
        assert polled(consumer) == [b"this one"]
        consumer.poll(timeout=0)
        consumer.commit()
        assert log.group("g").lag()[TOPIC, 0] == 0
    assert list(partition.values()) == [b"never", b"a", b"never either", b"this one"]


def test_the_position_passes_what_was_aborted(log: EventLog, partition: Partition) -> None:
    producer = Producer(partition, 7)
    with log.consumer(TOPIC) as consumer:
        producer.append(b"never")
        producer.end(commit=False)
        assert polled(consumer) == []
        assert consumer.position((TOPIC, 0)) == partition.end_offset == 2


def test_compressed_batches_are_left_out_as_well(log: EventLog, partition: Partition) -> None:
    import zlib

    def gzip(section: bytes) -> bytes:
        compressor = zlib.compressobj(wbits=31)
        return compressor.compress(section) + compressor.flush()

    batch = made_batches.batch(
        [Made(b"x" * 100)] * 3, producer_id=7, producer_epoch=0, base_sequence=0, attributes=TRANSACTIONAL | 1, compress=gzip
    )
    partition.log.append(batch)
    partition.append(b"behind")
    partition.log.append_marker(7, 0, 0, commit=False)
    with log.consumer(TOPIC) as consumer:
        assert polled(consumer) == [b"behind"]


def test_a_poll_that_waits_is_woken_by_the_marker(log: EventLog, partition: Partition) -> None:
    producer = Producer(partition, 7)
    producer.append(b"a")
    found: list[list[bytes | None]] = []
    with log.consumer(TOPIC) as consumer:
        assert polled(consumer) == []
        reading = threading.Thread(target=lambda: found.append([each.value for each in consumer.poll(timeout=60)]))
        reading.start()
        partition.append(b"behind")
        producer.end(commit=True)
        reading.join()
    assert found == [[b"a", b"behind"]]


def test_latest_begins_at_the_last_stable_offset(log: EventLog, partition: Partition) -> None:
    partition.append(b"before")
    producer = Producer(partition, 7)
    producer.append(b"a")
    with (
        log.consumer(TOPIC, auto_offset_reset="latest") as consumer,
        log.consumer(TOPIC, group="g", auto_offset_reset="latest") as member,
    ):
        assert polled(consumer) == polled(member) == []
        producer.end(commit=True)
        assert polled(consumer) == polled(member) == [b"a"]


def test_an_isolation_that_does_not_exist_is_refused(log: EventLog) -> None:
    with pytest.raises(InvalidArgumentError, match="isolation"):
        log.consumer(TOPIC, isolation="serializable")
