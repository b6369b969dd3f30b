"""Transactions of a producer inside this process: its records and a consumer's offsets become visible together, or never."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

import eventlog
import eventlog.aio
from eventlog import (
    EventLog,
    InvalidArgumentError,
    InvalidTypeError,
    Partition,
    ProducerFencedError,
    Record,
    StaleMemberError,
    StoreClosedError,
    TopicPartition,
    TransactionalProducer,
    TransactionStateError,
)


@pytest.fixture
def producer(log: EventLog) -> Iterator[TransactionalProducer]:
    with log.producer(transactional_id="one") as producer:
        yield producer


def committed_values(log: EventLog, topic: str = "events") -> list[bytes | None]:
    """What a consumer sees that begins now."""
    with log.consumer(topic) as consumer:
        found: list[Record] = []
        while records := consumer.poll(timeout=0):
            found += records
        return [record.value for record in found]


def test_records_are_visible_once_the_transaction_is_committed(log: EventLog, producer: TransactionalProducer) -> None:
    log.create_topic("others", 2)
    producer.begin()
    for number in range(3):
        producer.send("events", b"%d" % number)
        producer.send("others", b"%d" % number, partition=number % 2)
    producer.flush()  # they are in the log
    assert committed_values(log) == committed_values(log, "others") == []
    producer.commit()
    assert committed_values(log) == [b"0", b"1", b"2"]
    assert sorted(committed_values(log, "others")) == [b"0", b"1", b"2"]


def test_records_of_an_aborted_transaction_are_never_visible(log: EventLog, producer: TransactionalProducer) -> None:
    producer.begin()
    producer.send("events", b"in the log")
    producer.flush()
    receipt = producer.send("events", b"waiting")
    producer.abort()
    with pytest.raises(TransactionStateError, match="was aborted"):
        _ = receipt.offset
    with producer.transaction():
        producer.send("events", b"after it")
    assert committed_values(log) == [b"after it"]


def test_a_block_commits_at_its_end_and_aborts_if_it_raises(log: EventLog, producer: TransactionalProducer) -> None:
    with producer.transaction() as same:
        assert same is producer
        receipt = producer.send("events", b"first", key=b"k", headers=[("h", b"v")])
    assert receipt.offset == 0
    with pytest.raises(ZeroDivisionError), producer.transaction():
        producer.send("events", b"second")
        raise ZeroDivisionError
    assert committed_values(log) == [b"first"]
    record = log.partition("events", 0).read(0, 1)[0]
    assert (record.key, record.headers) == (b"k", (("h", b"v"),))


def test_a_large_transaction_is_appended_in_batches(log: EventLog) -> None:
    values = [b"%d" % number * 10 for number in range(1000)]
    with log.producer(transactional_id="one", batch_bytes=1000) as producer, producer.transaction():
        for value in values:
            producer.send("events", value)
        assert log.partition("events", 0).end_offset > 500
    assert committed_values(log) == values


def test_offsets_are_committed_with_the_records(log: EventLog, producer: TransactionalProducer, partition: Partition) -> None:
    partition.append_many([b"1", b"2", b"3"])
    log.create_topic("sums")
    name = TopicPartition("events", 0)
    with log.consumer("events", group="adders") as consumer:
        records = consumer.poll()
        with pytest.raises(ZeroDivisionError), producer.transaction(consumer):
            producer.send("sums", b"wrong")
            raise ZeroDivisionError
        assert consumer.committed(name) is None
        assert consumer.poll() == records  # handed out again
        with producer.transaction():
            producer.send("sums", b"6")
            producer.send_offsets(consumer)
            assert consumer.committed(name) is None
        assert consumer.committed(name) == 3
        assert consumer.poll(timeout=0) == []
    assert committed_values(log, "sums") == [b"6"]
    assert log.group("adders").committed() == {name: 3}


def test_committed_offsets_are_in_the_catalog(store: Path) -> None:
    with eventlog.open(store) as log, log.producer(transactional_id="one") as producer:
        log.partition("events", 0).append(b"1")
        with producer.transaction():
            producer.send_offsets({TopicPartition("events", 0): 1}, group="readers")
        with log.store.catalog.groups.read("readers") as group:
            assert group.offsets()[TopicPartition("events", 0)].offset == 1


def test_a_transaction_whose_consumer_has_lost_its_partition_is_not_committed(
    log: EventLog, producer: TransactionalProducer, partition: Partition
) -> None:
    partition.append(b"1")
    log.create_topic("sums")
    with log.consumer("events", group="adders") as consumer:
        consumer.poll()
        producer.begin()
        producer.send("sums", b"1")
        producer.send_offsets(consumer)
        log.group("adders").reset({TopicPartition("events", 0): 0})
        with pytest.raises(StaleMemberError, match="another member"):
            producer.commit()
        producer.abort()
    assert committed_values(log, "sums") == []
    assert log.group("adders").committed() == {TopicPartition("events", 0): 0}


def test_a_newer_producer_fences_an_older_one(store: Path, log: EventLog, producer: TransactionalProducer) -> None:
    producer.begin()
    producer.send("events", b"of the older")
    producer.flush()
    with eventlog.open(store) as elsewhere, elsewhere.producer(transactional_id="one") as newer:
        with newer.transaction():
            newer.send("events", b"of the newer")
        producer.send("events", b"too late")
        with pytest.raises(ProducerFencedError, match="fenced"):
            producer.commit()
        with pytest.raises(ProducerFencedError):
            producer.begin()
        assert committed_values(log) == [b"of the newer"]


def test_a_transaction_that_takes_too_long_is_aborted(log: EventLog) -> None:
    with log.producer(transactional_id="slow", transaction_timeout_ms=1) as producer:
        producer.begin()
        producer.send("events", b"slow")
        producer.flush()
        started_ms = log.store.catalog.transactions.all()[0].started_ms
        log.open_transactions.coordinator.attend(started_ms + 2)
        with pytest.raises(ProducerFencedError, match="longer than its timeout"):
            producer.commit()
    assert committed_values(log) == []
    with log.producer(transactional_id="slow") as producer, producer.transaction():
        producer.send("events", b"fast")
    assert committed_values(log) == [b"fast"]


def test_closing_aborts_what_is_open(store: Path) -> None:
    with eventlog.open(store) as log:
        producer = log.producer(transactional_id="one")
        producer.begin()
        producer.send("events", b"open")
        producer.flush()
    with eventlog.open(store) as log:
        assert committed_values(log) == []
        assert [state.state for state in log.store.catalog.transactions.all()] == ["CompleteAbort"]
        log.partition("events", 0).append(b"after it")
        assert committed_values(log) == [b"after it"]
    with pytest.raises(StoreClosedError):
        producer.begin()


def test_an_empty_transaction_changes_nothing(log: EventLog, producer: TransactionalProducer, partition: Partition) -> None:
    for end in (producer.commit, producer.abort):
        producer.begin()
        end()
    assert partition.end_offset == 0


def test_a_position_is_stored_with_the_transaction(store: Path, log: EventLog, producer: TransactionalProducer) -> None:
    assert producer.position is None
    with producer.transaction():
        producer.send("events", b"row 7")
        producer.set_position(b"7")
    with pytest.raises(ZeroDivisionError), producer.transaction():
        producer.set_position(b"8")
        raise ZeroDivisionError
    assert producer.position == b"7"
    with eventlog.open(store) as later, later.producer(transactional_id="one") as producer:
        assert producer.position == b"7"


def test_wrong_use_is_refused(log: EventLog, producer: TransactionalProducer) -> None:
    for wrong in (producer.commit, producer.abort, lambda: producer.send("events", b"x"), lambda: producer.set_position(b"")):
        with pytest.raises(TransactionStateError, match="not in a transaction"):
            wrong()
    producer.begin()
    with pytest.raises(TransactionStateError, match="in a transaction already"):
        producer.begin()
    with pytest.raises(InvalidArgumentError, match="name it with group="):
        producer.send_offsets({TopicPartition("events", 0): 1})
    with pytest.raises(InvalidTypeError, match="a Consumer"):
        producer.send_offsets([1])  # type: ignore[arg-type]
    with log.consumer("events") as alone, pytest.raises(InvalidArgumentError, match="in no group"):
        producer.send_offsets(alone)
    with (
        log.consumer("events", group="g", auto_commit=True) as automatic,
        pytest.raises(InvalidArgumentError, match="commits by itself"),
    ):
        producer.send_offsets(automatic)
    with pytest.raises(InvalidTypeError, match="position must be bytes"):
        producer.set_position("7")  # type: ignore[arg-type]
    producer.abort()
    with pytest.raises(InvalidArgumentError, match="no linger_ms"):
        log.producer(transactional_id="x", linger_ms=5)  # type: ignore[call-overload]
    with pytest.raises(InvalidArgumentError, match="transaction_timeout_ms"):
        log.producer(transactional_id="x", transaction_timeout_ms=0)
    with pytest.raises(InvalidTypeError, match="must be a str"):
        log.producer(transactional_id=7)  # type: ignore[call-overload]


def test_a_transactional_id_may_be_any_text(log: EventLog) -> None:
    for name in ("ä / ü", "x" * 1000, "\0"):
        with log.producer(transactional_id=name) as producer, producer.transaction():
            producer.send("events", name.encode())
    assert len(committed_values(log)) == 3
    assert {state.transactional_id for state in log.store.catalog.transactions.all()} == {"ä / ü", "x" * 1000, "\0"}


def test_a_topic_that_is_deleted_meanwhile_does_not_prevent_the_commit(log: EventLog, producer: TransactionalProducer) -> None:
    log.create_topic("short-lived")
    with producer.transaction():
        producer.send("events", b"stays")
        producer.send("short-lived", b"goes")
        producer.flush()
        log.delete_topic("short-lived")
    assert committed_values(log) == [b"stays"]


def test_tasks_have_transactions(store: Path) -> None:
    async def run() -> None:
        async with eventlog.aio.open(store) as log:
            await log.partition("events", 0).append(b"1")
            async with (
                log.producer(transactional_id="one") as producer,
                log.consumer("events", group="adders") as consumer,
            ):
                records = await consumer.poll()
                with pytest.raises(ZeroDivisionError):
                    async with producer.transaction(consumer):
                        await producer.send("sums", b"wrong")
                        raise ZeroDivisionError
                assert await consumer.poll() == records
                async with producer.transaction(consumer):
                    await producer.send("sums", b"1")
                await producer.begin()
                await producer.send("sums", b"aborted")
                await producer.abort()

    asyncio.run(run())
    with eventlog.open(store) as log:
        assert committed_values(log, "sums") == [b"1"]
        assert log.group("adders").committed() == {TopicPartition("events", 0): 1}


@pytest.mark.parametrize("wrong", ["", "x" * 40_000, "\ud800"])
def test_names_of_producers_that_the_catalog_cannot_store_are_refused(log: EventLog, wrong: str) -> None:
    for use in (
        lambda: log.producer(transactional_id=wrong), lambda: log.producer(name=wrong), lambda: log.abort_transaction(wrong)
    ):  # fmt: skip
        with pytest.raises(eventlog.InvalidArgumentError, match=r"transactional_id|name"):
            use()
