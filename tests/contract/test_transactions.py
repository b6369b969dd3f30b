"""Transactional producers by the contract: what becomes visible together, what never does, and who is fenced."""

from __future__ import annotations

import pytest

from eventlog import (
    InvalidArgumentError,
    InvalidTypeError,
    ProducerFencedError,
    RecordTooLargeError,
    StaleMemberError,
    StoreClosedError,
    TopicPartition,
    TransactionStateError,
    contract,
)
from tests.contract.implementations import those
from tests.contract.orders import GROUP, PARTITIONS, TOPIC, orders
from tests.contract.polling import comes_true, poll_exactly

SUMS = "sums"
IN_THIS_PROCESS = pytest.mark.parametrize("implementation", those(lambda each: each.calls_back), indirect=True)


def read_committed(log: contract.Log, count: int, topic: str = TOPIC) -> list[bytes]:
    """The values of a topic, which are so many, sorted; over a network they come within a moment."""
    with log.consumer(topic) as consumer:
        found = [record.value or b"" for record in poll_exactly(consumer, count)] if count else []
        assert consumer.poll(timeout=0) == []
    return sorted(found)


def has_committed(log: contract.Log, group: str, offsets: dict[TopicPartition, int]) -> bool:
    return comes_true(lambda: group in log.groups() and log.group(group).committed() == offsets)


def test_records_are_visible_once_the_transaction_is_committed(log: contract.Log, other: contract.Log) -> None:
    log.create_topic(SUMS)
    with log.producer(transactional_id="one") as producer:
        assert (producer.transactional_id, producer.is_in_transaction) == ("one", False)
        producer.begin()
        receipts = [producer.send(TOPIC, b"%d" % number, partition=number) for number in range(PARTITIONS)]
        producer.send(SUMS, b"3")
        producer.flush()
        assert producer.is_in_transaction and [receipt.offset for receipt in receipts] == [0] * PARTITIONS
        assert read_committed(other, 0) == read_committed(other, 0, SUMS) == []
        producer.commit()
        assert not producer.is_in_transaction
        assert read_committed(other, 3) == [b"0", b"1", b"2"]
        assert read_committed(other, 1, SUMS) == [b"3"]


def test_records_of_an_aborted_transaction_are_never_visible(log: contract.Log, other: contract.Log) -> None:
    with log.producer(transactional_id="one") as producer:
        producer.begin()
        producer.send(TOPIC, b"in the log", partition=0)
        producer.flush()
        producer.send(TOPIC, b"perhaps not", partition=0)
        producer.abort()
        producer.begin()
        producer.send(TOPIC, b"after it", partition=0)
        producer.commit()
    assert read_committed(other, 1) == [b"after it"]
    with log.consumer(TOPIC, isolation="read_uncommitted") as consumer:
        assert poll_exactly(consumer, 1)[0].value == b"in the log"


def test_closing_a_producer_aborts_its_transaction(log: contract.Log) -> None:
    with log.producer(transactional_id="one") as producer:
        producer.begin()
        producer.send(TOPIC, b"not committed", partition=0)
        producer.flush()
    with log.producer(transactional_id="two") as producer:
        producer.begin()
        producer.send(TOPIC, b"committed", partition=0)
        producer.commit()
    assert read_committed(log, 1) == [b"committed"]


def test_a_transaction_is_used_in_the_right_order(log: contract.Log) -> None:
    with log.producer(transactional_id="one") as producer:
        for use in (producer.commit, producer.abort, lambda: producer.send(TOPIC, b"x")):
            with pytest.raises(TransactionStateError, match="begin one first"):
                use()
        producer.begin()
        with pytest.raises(TransactionStateError, match="already"):
            producer.begin()
        producer.abort()
        producer.begin()
        producer.commit()  # of nothing
    with pytest.raises(StoreClosedError):
        producer.begin()


def test_options_that_cannot_be_are_refused(log: contract.Log) -> None:
    with pytest.raises(InvalidArgumentError):
        log.producer(transactional_id="")
    with pytest.raises(InvalidArgumentError):
        log.producer(transactional_id="one", transaction_timeout_ms=0)
    with pytest.raises(InvalidTypeError):
        log.producer(transactional_id=7)  # type: ignore[call-overload]
    with log.producer(transactional_id="one") as producer:
        producer.begin()
        with pytest.raises(InvalidArgumentError, match="group"):
            producer.send_offsets({orders(): 1})
        with pytest.raises(InvalidTypeError):
            producer.send_offsets("x", group=GROUP)
        with pytest.raises(InvalidArgumentError):
            producer.send_offsets({orders(): -1}, group=GROUP)


def test_a_newer_producer_of_the_same_id_fences_the_older_one(log: contract.Log, other: contract.Log) -> None:
    older = log.producer(transactional_id="one")
    older.begin()
    older.send(TOPIC, b"of the older", partition=0)
    older.flush()
    with other.producer(transactional_id="one") as newer:
        newer.begin()
        newer.send(TOPIC, b"of the newer", partition=0)
        newer.commit()
        with pytest.raises(ProducerFencedError):
            older.commit()
        for use in (older.begin, older.commit, older.abort, lambda: older.send(TOPIC, b"x")):
            with pytest.raises(ProducerFencedError):
                use()
        older.close()
        newer.begin()
        newer.send(TOPIC, b"and another", partition=0)
        newer.commit()
    assert read_committed(log, 2) == [b"and another", b"of the newer"]


def test_a_record_that_is_too_large_keeps_its_transaction_from_being_committed(log: contract.Log) -> None:
    log.create_topic("small", config={"max.message.bytes": 1000})
    with log.producer(transactional_id="one") as producer:
        producer.begin()
        producer.send(TOPIC, b"fits", partition=0)
        with pytest.raises(RecordTooLargeError):
            producer.send("small", b"x" * 2000)
            producer.commit()
        producer.abort()
        producer.begin()
        producer.send(TOPIC, b"after it", partition=0)
        producer.commit()
    assert read_committed(log, 1) == [b"after it"]


def test_offsets_are_committed_with_the_transaction(log: contract.Log, other: contract.Log) -> None:
    log.partition(TOPIC, 0).append_many([b"1", b"2", b"3"])
    log.create_topic(SUMS)
    with log.producer(transactional_id="one") as producer:
        producer.begin()
        producer.send(SUMS, b"6")
        producer.send_offsets({orders(0): 2, orders(1): 0}, group=GROUP)
        producer.send_offsets({orders(0): 3}, group=GROUP)
        producer.send_offsets({orders(0): 1}, group="others")
        producer.commit()
        assert has_committed(other, GROUP, {orders(0): 3, orders(1): 0})
        assert has_committed(other, "others", {orders(0): 1})
        producer.begin()
        producer.send_offsets({orders(0): 0}, group="others")
        producer.abort()
        producer.begin()
        producer.send_offsets({orders(1): 0}, group="others")
        producer.commit()
        assert has_committed(other, "others", {orders(0): 1, orders(1): 0})


@IN_THIS_PROCESS
def test_each_record_is_processed_once_though_transactions_are_aborted(log: contract.Log) -> None:
    values = [b"%02d" % number for number in range(30)]
    for number in range(PARTITIONS):
        log.partition(TOPIC, number).append_many(values[number::PARTITIONS])
    log.create_topic("copies")
    attempts = copied = 0
    with log.consumer(TOPIC, group=GROUP) as consumer, log.producer(transactional_id="one") as producer:
        while copied < len(values):
            records = consumer.poll(timeout=30, max_records=4)
            attempts += 1
            try:
                with producer.transaction(consumer) as same:
                    assert same is producer
                    for record in records:
                        producer.send("copies", record.value)
                    if attempts % 2:
                        raise ZeroDivisionError
                copied += len(records)
            except ZeroDivisionError:
                continue
        assert consumer.poll(timeout=0) == []
    assert read_committed(log, len(values), "copies") == values
    assert has_committed(log, GROUP, {orders(number): 10 for number in range(PARTITIONS)})


def test_a_member_goes_on_where_a_transaction_has_put_its_group(log: contract.Log, other: contract.Log) -> None:
    log.partition(TOPIC, 0).append_many([b"1", b"2", b"3"])
    with log.producer(transactional_id="one") as producer:
        producer.begin()
        producer.send_offsets({orders(0): 2}, group=GROUP)
        producer.commit()
    with other.consumer(TOPIC, group=GROUP) as consumer:
        assert [record.value for record in poll_exactly(consumer, 1)] == [b"3"]


@IN_THIS_PROCESS
def test_the_offsets_of_a_consumer_that_has_left_are_not_committed(log: contract.Log) -> None:
    log.partition(TOPIC, 0).append_many([b"1", b"2", b"3"])
    log.create_topic(SUMS)
    with log.producer(transactional_id="one") as producer:
        with log.consumer(TOPIC, group=GROUP) as consumer:
            assert len(poll_exactly(consumer, 3)) == 3
            producer.begin()
            producer.send(SUMS, b"6")
            producer.send_offsets(consumer)
        with log.consumer(TOPIC, group=GROUP) as successor:
            again = poll_exactly(successor, 3)
            with pytest.raises(StaleMemberError):
                producer.commit()
            producer.abort()
            with producer.transaction(successor):
                producer.send(SUMS, b"%d" % len(again))
    assert read_committed(log, 1, SUMS) == [b"3"]


@IN_THIS_PROCESS
def test_consumers_that_cannot_take_part_are_refused(log: contract.Log) -> None:
    with log.producer(transactional_id="one") as producer:
        producer.begin()
        with log.consumer(TOPIC) as alone, pytest.raises(InvalidArgumentError, match="group"):
            producer.send_offsets(alone)
        with log.consumer(TOPIC, group=GROUP, auto_commit=True) as itself, pytest.raises(InvalidArgumentError, match="auto_"):
            producer.send_offsets(itself)
        with log.consumer(TOPIC) as alone, pytest.raises(InvalidArgumentError, match="group"):
            alone.rewind()
