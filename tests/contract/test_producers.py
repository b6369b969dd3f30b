"""Producers by the contract: which partition a record goes to, its receipt, and lingering."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from eventlog import (
    EventLogError,
    InvalidArgumentError,
    InvalidTypeError,
    PartitionNotFoundError,
    RecordTooLargeError,
    TopicNotFoundError,
    contract,
)
from tests.contract.orders import PARTITIONS, TOPIC


def everything(log: contract.Log) -> list[list[bytes | None]]:
    return [list(log.partition(TOPIC, number).values()) for number in range(PARTITIONS)]


# Kafka's own test has the hashes of these; see UtilsTest.testMurmur2.
@pytest.mark.parametrize(("key", "number"), [(b"21", 0), (b"foobar", 0), (b"a-little-bit-long-string", 2), (b"abc", 0)])
def test_a_key_goes_where_kafkas_clients_send_it(log: contract.Log, key: bytes, number: int) -> None:
    with log.producer() as producer:
        assert producer.send(TOPIC, b"value", key=key).partition == number


@pytest.mark.parametrize("linger_ms", [0, 10_000])
def test_records_of_one_key_stay_in_order(log: contract.Log, linger_ms: int) -> None:
    with log.producer(linger_ms=linger_ms) as producer:
        for number in range(60):
            producer.send(TOPIC, b"%d" % number, key=b"key-%d" % (number % 7))
    by_key: dict[bytes | None, list[int]] = {}
    for number in range(PARTITIONS):
        for record in log.partition(TOPIC, number).records():
            by_key.setdefault(record.key, []).append(int(record.value or b""))
    assert by_key == {b"key-%d" % number: list(range(number, 60, 7)) for number in range(7)}


def test_a_partition_may_be_named(log: contract.Log) -> None:
    with log.producer() as producer:
        for number in range(PARTITIONS):
            producer.send(TOPIC, b"%d" % number, key=b"the same", partition=number)
    assert everything(log) == [[b"0"], [b"1"], [b"2"]]


def test_records_without_a_key_reach_all_partitions(log: contract.Log) -> None:
    with log.producer() as producer:
        for _ in range(600):
            producer.send(TOPIC, b"x" * 100)
    found = everything(log)
    assert sum(map(len, found)) == 600 and all(found)


def test_a_receipt_tells_where_the_record_is(log: contract.Log, other: contract.Log) -> None:
    other.partition(TOPIC, 1).append_many([b"before"] * 5)
    with log.producer() as producer:
        receipt = producer.send(TOPIC, b"value", key=b"key", headers=[("name", b"x")], partition=1, timestamp=77)
        assert receipt.is_resolved
        assert (receipt.topic, receipt.partition, receipt.offset, receipt.timestamp) == (TOPIC, 1, 5, 77)
    (record,) = other.partition(TOPIC, 1).read(5)
    assert (record.value, record.key, record.headers, record.timestamp) == (b"value", b"key", (("name", b"x"),), 77)


def test_a_receipt_has_the_timestamp_that_readers_see(log: contract.Log) -> None:
    with log.producer() as producer:
        receipt = producer.send(TOPIC, b"value", partition=0)
        assert log.partition(TOPIC, 0).read(receipt.offset)[0].timestamp == receipt.timestamp


def test_a_lingering_record_is_appended_when_its_offset_is_asked_for(log: contract.Log) -> None:
    with log.producer(linger_ms=600_000) as producer:
        first = producer.send(TOPIC, b"first", partition=0)
        second = producer.send(TOPIC, b"second", partition=0)
        assert not first.is_resolved
        assert (first.offset, second.offset) == (0, 1) and second.is_resolved
        assert everything(log)[0] == [b"first", b"second"]


def test_a_flush_appends_what_lingers_and_makes_it_durable(log: contract.Log) -> None:
    with log.producer(linger_ms=600_000) as producer:
        receipts = [producer.send(TOPIC, b"value", partition=number) for number in range(PARTITIONS)]
        producer.flush()
        assert all(receipt.is_resolved for receipt in receipts)
        assert [log.partition(TOPIC, number).durable_offset for number in range(PARTITIONS)] == [1, 1, 1]


def test_closing_appends_what_lingers(log: contract.Log) -> None:
    with log.producer(linger_ms=600_000) as producer:
        producer.send(TOPIC, b"value", partition=0)
    assert everything(log)[0] == [b"value"]


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
def test_compressed_records_are_read_as_they_were_sent(log: contract.Log, codec: str) -> None:
    values = [b"%d" % number * 50 for number in range(100)]
    with log.producer(compression=codec, linger_ms=600_000) as producer:
        for value in values:
            producer.send(TOPIC, value, key=b"key", partition=0)
    assert everything(log)[0] == values


def test_a_topic_is_created_by_the_first_record(log: contract.Log, other: contract.Log) -> None:
    with log.producer() as producer:
        producer.send("new", b"value")
    assert other.topic("new").partitions == 1 and list(other.partition("new", 0).values()) == [b"value"]


def test_a_topic_is_not_created_where_that_is_not_wanted(log: contract.Log) -> None:
    with log.producer(auto_create_topics=False) as producer:
        with pytest.raises(TopicNotFoundError):
            producer.send("new", b"value")
        assert producer.send(TOPIC, b"value").offset == 0
    assert log.topics() == [TOPIC]


def _any(value: object) -> Any:
    return value


Refused = Callable[[contract.Producer], object]

REFUSED: dict[str, tuple[Refused, type[EventLogError]]] = {
    "a value that is text": (lambda p: p.send(TOPIC, _any("text")), InvalidTypeError),
    "a key that is text": (lambda p: p.send(TOPIC, b"value", key=_any("text")), InvalidTypeError),
    "a topic that is bytes": (lambda p: p.send(_any(b"orders"), b"value"), InvalidTypeError),
    "a topic without a name": (lambda p: p.send("", b"value"), InvalidArgumentError),
    "a partition behind the last": (lambda p: p.send(TOPIC, b"value", partition=PARTITIONS), PartitionNotFoundError),
    "a partition that is text": (lambda p: p.send(TOPIC, b"value", partition=_any("0")), InvalidTypeError),
    "a record that is too large": (lambda p: p.send(TOPIC, bytes(2_000_000), partition=0), RecordTooLargeError),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_is_refused_and_appends_nothing(log: contract.Log, what: str) -> None:
    do, error = REFUSED[what]
    with log.producer() as producer, pytest.raises(error):
        do(producer)
    assert everything(log) == [[], [], []] and log.topics() == [TOPIC]


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"compression": "rar"}, InvalidArgumentError),
        ({"linger_ms": -1}, InvalidArgumentError),
        ({"linger_ms": "5"}, InvalidTypeError),
        ({"batch_bytes": 0}, InvalidArgumentError),
    ],
)
def test_options_that_cannot_be_are_refused(log: contract.Log, options: Any, error: type[EventLogError]) -> None:
    with pytest.raises(error):
        log.producer(**options)
