"""Topics are altered and deleted while others use them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

import eventlog
from eventlog import (
    EventLog,
    InvalidArgumentError,
    RecordTooLargeError,
    TopicExistsError,
    TopicNotFoundError,
    TopicPartition,
)
from tests.support import stores
from tests.support.heads import simulate_reboot


@pytest.fixture
def other(store: Path, log: EventLog) -> Any:
    """The same store, opened once more, with the partition open."""
    with eventlog.open(store) as other:
        other.partition(stores.TOPIC, 0).append(b"0", b"key")
        yield other


def test_settings_given_are_added_to_those_there_were_and_none_takes_one_back(log: EventLog) -> None:
    log.alter_topic(stores.TOPIC, config={"retention.ms": 1000, "segment.bytes": "2048"})
    log.alter_topic(stores.TOPIC, config={"retention.ms": None, "retention.acked": True, "min.cleanable.dirty.ratio": "0.25"})
    assert log.topic(stores.TOPIC).config == {
        "segment.bytes": 2048, "retention.acked": "true", "min.cleanable.dirty.ratio": 0.25,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"config": {"retention.msec": 1}}, "unknown topic setting 'retention.msec'"),
        ({"config": {"retention.msec": None}}, "unknown topic setting 'retention.msec'"),
        ({"config": {"min.cleanable.dirty.ratio": 1.5}}, "must be a number from 0.0 to 1.0"),
        ({"config": {"retention.acked": "maybe"}}, "must be one of false, true"),
        ({"partitions": 1}, "has 2 partitions, and 1 are fewer"),
        ({"partitions": 0}, "1 to 100000 partitions"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_changed(log: EventLog, changes: dict[str, Any], message: str) -> None:
    log.alter_topic(stores.TOPIC, partitions=2)
    before = log.topic(stores.TOPIC)
    with pytest.raises(InvalidArgumentError, match=message):
        log.alter_topic(stores.TOPIC, **changes)
    assert log.topic(stores.TOPIC) == before
    with pytest.raises(TopicNotFoundError):
        log.alter_topic("nothing", partitions=3)


def test_the_next_append_of_anybody_goes_by_the_new_settings(log: EventLog, other: EventLog, store: Path) -> None:
    partition = other.partition(stores.TOPIC, 0)
    log.alter_topic(stores.TOPIC, config={"segment.bytes": 1024, "max.message.bytes": 1000})
    with pytest.raises(RecordTooLargeError):
        partition.append(bytes(2000))
    for _ in range(10):
        partition.append(bytes(500))
    assert len(stores.segments(store)) > 4
    log.alter_topic(stores.TOPIC, config={"segment.bytes": None, "max.message.bytes": None})
    assert partition.append(bytes(2000)) == 11
    log.alter_topic(stores.TOPIC, config={"compression.type": "gzip", "message.timestamp.type": "LogAppendTime"})
    partition.append_many([bytes(1000)] * 100, timestamps=[5] * 100)
    assert partition.bytes_from(12) < 5000
    assert partition.read(12)[0].timestamp > 5
    partition.append(bytes(20_000))
    assert partition.bytes_from(112) < 2000


def test_settings_hold_for_a_partition_that_is_opened_later_in_the_same_boot(store: Path) -> None:
    with eventlog.open(store) as log:
        stores.open_partition(log).append(b"0")
    with eventlog.open(store) as log:
        log.alter_topic(stores.TOPIC, config={"segment.bytes": 1024})
    with eventlog.open(store) as log:
        for _ in range(10):
            stores.open_partition(log).append(bytes(500))
    assert len(stores.segments(store)) > 4


def test_a_producer_and_a_group_take_up_new_partitions(log: EventLog, other: EventLog) -> None:
    producer = other.producer()
    producer.send(stores.TOPIC, b"before", key=b"k")
    with other.consumer(stores.TOPIC, group="group") as consumer:
        consumer.poll(timeout=0)
        log.alter_topic(stores.TOPIC, partitions=8)
        receipts = [producer.send(stores.TOPIC, b"after", key=b"%d" % number) for number in range(100)]
        assert {receipt.partition for receipt in receipts} == set(range(8))
        assert producer.send(stores.TOPIC, b"7", partition=7).partition == 7
        seen = {record.partition for _ in range(30) for record in consumer.poll(timeout=0.1)}
        assert seen == set(range(8))


def test_a_deleted_topic_is_gone_for_everybody_who_has_it_open(log: EventLog, other: EventLog, store: Path) -> None:
    partition, append = other.partition(stores.TOPIC, 0), other.partition(stores.TOPIC, 0).append
    values = partition.values()
    log.delete_topic(stores.TOPIC)
    assert log.topics() == other.topics() == []
    uses: list[Any] = [
        lambda: append(b"1"), lambda: partition.append_many([b"1"]), lambda: partition.read(0),
        lambda: list(values), lambda: list(partition.values()), lambda: partition.wait(5, timeout=60),
        lambda: other.partition(stores.TOPIC, 0), lambda: other.topic(stores.TOPIC), lambda: log.delete_topic(stores.TOPIC),
    ]  # fmt: skip
    for use in uses:
        with pytest.raises(TopicNotFoundError):
            use()
    assert os.listdir(store / "logs") == []
    assert not [name for name in os.listdir(store / "shared") if name.endswith(".head")]


def test_a_topic_made_anew_begins_anew(log: EventLog, other: EventLog, store: Path) -> None:
    producer = other.producer()
    producer.send(stores.TOPIC, b"old")
    with other.consumer(stores.TOPIC, group="group") as consumer:
        assert len(consumer.poll(timeout=1)) == 2
        consumer.commit()
        log.delete_topic(stores.TOPIC)
        log.create_topic(stores.TOPIC, partitions=2)
        assert producer.send(stores.TOPIC, b"new", partition=0).offset == 0
        assert [record.value for _ in range(20) for record in consumer.poll(timeout=0.1)] == [b"new"]
    assert list(log.partition(stores.TOPIC, 0).values()) == [b"new"]
    assert list(other.partition(stores.TOPIC, 0).values()) == [b"new"]


def test_a_consumer_lets_go_of_a_deleted_topic_and_reads_the_others(log: EventLog, other: EventLog) -> None:
    log.create_topic("stays")
    with other.consumer([stores.TOPIC, "stays"], group="group") as consumer:
        consumer.poll(timeout=0.1)
        log.delete_topic(stores.TOPIC)
        log.partition("stays", 0).append(b"still here")
        assert [record.value for _ in range(10) for record in consumer.poll(timeout=0.1)] == [b"still here"]
        assert consumer.assignment() == {TopicPartition("stays", 0)}
        consumer.commit()
    assert log.group("group").committed().keys() <= {TopicPartition("stays", 0)}


def test_a_deletion_that_was_cut_short_is_finished_by_housekeeping(store: Path) -> None:
    with eventlog.open(store) as log:
        stores.open_partition(log).append(b"0")
        log.store.catalog.topics.begin_deletion(stores.TOPIC)  # what a process that was killed now had done
    simulate_reboot(stores.head_file(store))
    with eventlog.open(store) as log:
        assert log.topics() == []
        assert log.maintain().deleted_topics == [stores.TOPIC]
        assert os.listdir(store / "logs") == []
        log.create_topic(stores.TOPIC)
        with pytest.raises(TopicExistsError):
            log.create_topic(stores.TOPIC)


def test_a_deletion_that_was_cut_short_is_finished_by_whoever_creates_the_topic(store: Path) -> None:
    with eventlog.open(store) as log:
        stores.open_partition(log).append(b"0")
        log.store.catalog.topics.begin_deletion(stores.TOPIC)
        log.create_topic(stores.TOPIC)
        assert stores.open_partition(log).end_offset == 0


def test_waiting_records_of_a_deleted_topic_are_not_lost_silently(log: EventLog, other: EventLog) -> None:
    producer = other.producer(linger_ms=60_000, auto_create_topics=False)
    log.create_topic("other")
    lost = producer.send(stores.TOPIC, b"waiting")
    log.delete_topic(stores.TOPIC)
    assert producer.send("other", b"more").offset == 0
    with pytest.raises(TopicNotFoundError, match="'events'"):
        producer.send(stores.TOPIC, b"more")
    for tells in (producer.flush, lambda: lost.offset):
        with pytest.raises(TopicNotFoundError, match="1 records for events/0 were waiting"):
            tells()
    producer.close()


def test_closing_a_producer_tells_what_a_deleted_topic_has_taken(log: EventLog, other: EventLog) -> None:
    producer = other.producer(linger_ms=60_000)
    producer.send(stores.TOPIC, b"waiting")
    log.delete_topic(stores.TOPIC)
    assert producer.send("other", b"more").offset == 0
    with pytest.raises(TopicNotFoundError, match="1 records for events/0 were waiting"):
        producer.close()
    producer.close()
