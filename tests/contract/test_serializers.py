"""Serializers and deserializers by the contract: objects instead of bytes, and what becomes of records that cannot be read as
objects."""

from __future__ import annotations

from typing import Any

import pytest

import eventlog.json
from eventlog import DeserializationError, InvalidArgumentError, InvalidTypeError, SerializationError
from tests.contract.implementations import those
from tests.contract.orders import GROUP, TOPIC, orders

pytestmark = pytest.mark.parametrize("implementation", those(lambda each: each.calls_back), indirect=True)

SECONDS_MAX = 30.0
JSON: dict[str, Any] = {"value_deserializer": eventlog.json.loads}


def number(value: int) -> bytes:
    return b"%d" % value


def poll(consumer: Any, count: int) -> list[Any]:
    """So many records, or until one raises."""
    found: list[Any] = []
    while len(found) < count:
        records = consumer.poll(SECONDS_MAX)
        assert records, f"{len(found)} of {count} came"
        found += records
    return found


@pytest.mark.parametrize("kind", [{}, {"linger_ms": 5}, {"transactional_id": "t"}])
def test_what_was_sent_comes_back(log: Any, kind: dict[str, Any]) -> None:
    sent = {"who": "Zoë", "what": [1, 2.5, None, True]}
    with log.producer(value_serializer=eventlog.json.dumps, key_serializer=number, **kind) as producer:
        if "transactional_id" in kind:
            producer.begin()
        producer.send(TOPIC, sent, 7, partition=0)
        producer.send(TOPIC, None, 8, partition=0)
        producer.send(TOPIC, "x", partition=0)
        if "transactional_id" in kind:
            producer.commit()
    raw = log.partition(TOPIC, 0).read(0)
    assert [(each.key, each.value) for each in raw] == [
        (b"7", eventlog.json.dumps(sent)), (b"8", None), (None, b'"x"'),
    ]  # fmt: skip
    with log.consumer(TOPIC, key_deserializer=int, **JSON) as consumer:
        records = poll(consumer, 3)
    assert [(each.key, each.value) for each in records] == [(7, sent), (8, None), (None, "x")]
    assert [(*each[:4], each.headers) for each in records] == [(*each[:4], each.headers) for each in raw]


def test_equal_keys_go_to_the_partition_of_their_bytes(log: Any) -> None:
    with log.producer(key_serializer=number) as producer, log.producer() as plain:
        for key in range(20):
            assert producer.send(TOPIC, b"x", key).partition == plain.send(TOPIC, b"x", number(key)).partition


def test_an_object_that_cannot_be_serialized_is_not_sent(log: Any) -> None:
    with log.producer(value_serializer=eventlog.json.dumps) as producer:
        with pytest.raises(SerializationError, match="the value of a record for topic 'orders'"):
            producer.send(TOPIC, object(), partition=0)
        assert producer.send(TOPIC, 1, partition=0).offset == 0


def test_records_before_a_bad_one_are_handed_out_and_then_it_raises_until_it_is_passed(log: Any) -> None:
    log.partition(TOPIC, 0).append_many([b"1", b"2", b"{not json", b"4"])
    with log.consumer(TOPIC, group=GROUP, **JSON) as consumer:
        assert [each.value for each in poll(consumer, 2)] == [1, 2]
        for _ in range(2):
            with pytest.raises(DeserializationError) as caught:
                consumer.poll(SECONDS_MAX)
            assert (caught.value.topic_partition, caught.value.offset) == (orders(), 2)
            assert consumer.position(orders()) == 2
        consumer.commit()
        assert consumer.committed(orders()) == 2
        consumer.seek(orders(), 3)
        assert [each.value for each in poll(consumer, 1)] == [4]


def test_an_iteration_after_an_error_begins_with_the_same_record(log: Any) -> None:
    log.partition(TOPIC, 0).append_many([b"1", b"{not json"])
    with log.consumer(TOPIC, **JSON) as consumer:
        records = iter(consumer)
        assert next(records).value == 1
        for _ in range(2):
            with pytest.raises(DeserializationError):
                next(records)
            records = iter(consumer)


def test_refused_records_are_passed_over_and_committed(log: Any) -> None:
    log.partition(TOPIC, 0).append_many([b"{", b"1", b"{", b"2", b"{"])
    with log.consumer(TOPIC, group=GROUP, refused="drop", **JSON) as consumer:
        assert [each.value for each in poll(consumer, 2)] == [1, 2]
        while consumer.position(orders()) < 5:
            assert consumer.poll(0.05) == []
        consumer.commit()
        assert consumer.committed(orders()) == 5


def test_refused_records_go_to_another_topic(log: Any) -> None:
    log.partition(TOPIC, 0).append_many([b"{", b"1"], keys=[b"k", None])
    with log.consumer(TOPIC, refused="dead-letter:refused", **JSON) as consumer:
        assert [each.value for each in poll(consumer, 1)] == [1]
    [refused] = log.partition("refused", 0).read(0)
    assert (refused.key, refused.value) == (b"k", b"{")
    assert dict(refused.headers)["eventlog.refused.topic"] == TOPIC.encode()


def test_what_is_not_a_function_is_refused(log: Any) -> None:
    with pytest.raises(InvalidTypeError, match="value_serializer"):
        log.producer(value_serializer=1)
    with pytest.raises(InvalidTypeError, match="key_deserializer"):
        log.consumer(TOPIC, key_deserializer=1)
    with pytest.raises(InvalidArgumentError, match="refused"):
        log.consumer(TOPIC, refused="drop")
