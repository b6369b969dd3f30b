"""Serializers and deserializers: objects instead of bytes, and what becomes of records that cannot be read as objects."""

from __future__ import annotations

import asyncio
import logging
import pickle
from pathlib import Path
from typing import Any

import pytest

import eventlog
import eventlog.aio
import eventlog.json
from eventlog import (
    DeserializationError,
    EventLog,
    InvalidArgumentError,
    InvalidTypeError,
    SerializationError,
    TopicPartition,
)

PLACE = TopicPartition("orders", 0)
BAD = b"{not json"


def number(value: int) -> bytes:
    return b"%d" % value


def fill(log: EventLog, *values: bytes | None, partitions: int = 1) -> None:
    log.create_topic("orders", partitions)
    with log.producer() as producer:
        for index, value in enumerate(values):
            producer.send("orders", value, partition=index % partitions)


def values(records: list[Any]) -> list[Any]:
    return [record.value for record in records]


# --- sending and receiving ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [{}, {"name": "n"}, {"transactional_id": "t"}, {"linger_ms": 5}])
def test_what_was_sent_comes_back(log: EventLog, kind: dict[str, Any]) -> None:
    sent = {"who": "Zoë", "what": [1, 2.5, None, True]}
    producer = log.producer(value_serializer=eventlog.json.dumps, key_serializer=number, **kind)
    if "transactional_id" in kind:
        with producer, producer.transaction():
            producer.send("orders", sent, 7)
    else:
        with producer:
            producer.send("orders", sent, key=7, headers=[("h", b"x")])
    [raw] = log.partition("orders", 0).read(0)
    assert (raw.key, raw.value) == (b"7", '{"who":"Zoë","what":[1,2.5,null,true]}'.encode())
    with log.consumer("orders", value_deserializer=eventlog.json.loads, key_deserializer=int) as consumer:
        [record] = consumer.poll(10)
    assert (record.key, record.value) == (7, sent)
    assert record[:4] == raw[:4] and record.headers == raw.headers


def test_equal_keys_go_to_the_partition_of_their_bytes(log: EventLog) -> None:
    log.create_topic("orders", 8)
    with log.producer(value_serializer=None, key_serializer=number) as producer, log.producer() as plain:
        for key in range(20):
            assert producer.send("orders", b"x", key).partition == plain.send("orders", b"x", number(key)).partition


def test_none_is_a_tombstone_or_a_record_without_a_key_with_any_serializer(log: EventLog) -> None:
    with log.producer(value_serializer=eventlog.json.dumps, key_serializer=number) as producer:
        producer.send("orders", None, 1)
        producer.send("orders", "x")
    found = log.partition("orders", 0).read(0)
    assert [(record.key, record.value) for record in found] == [(b"1", None), (None, b'"x"')]
    with log.consumer("orders", value_deserializer=eventlog.json.loads, key_deserializer=int) as consumer:
        assert [(record.key, record.value) for record in consumer.poll(10)] == [(1, None), (None, "x")]


def test_a_named_producer_sends_each_object_once(log: EventLog) -> None:
    log.create_topic("orders")
    for _ in range(2):
        with log.producer(name="outbox", value_serializer=eventlog.json.dumps, key_serializer=number) as producer:
            producer.send_once("orders", 0, 0, {"row": 0}, 5)
    assert [(record.key, record.value) for record in log.partition("orders", 0).read(0)] == [(b"5", b'{"row":0}')]


def test_tasks_send_and_receive_objects(store: Path) -> None:
    async def main() -> tuple[list[Any], list[Any]]:
        async with eventlog.aio.open(store) as log:
            async with log.producer(value_serializer=eventlog.json.dumps) as producer:
                for index in range(3):
                    await producer.send("orders", {"n": index})
                await producer.send("orders", "x" * 100_000)  # in the executor
            async with log.consumer("orders", value_deserializer=eventlog.json.loads) as consumer:
                polled = await consumer.poll(10)
            iterated = []
            async with log.consumer("orders", value_deserializer=eventlog.json.loads) as consumer:
                async for record in consumer:
                    iterated.append(record)
                    if len(iterated) == 4:
                        break
            return polled, iterated

    for records in asyncio.run(main()):
        assert values(records) == [{"n": 0}, {"n": 1}, {"n": 2}, "x" * 100_000]


# --- what cannot be sent -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("serializer", "reason"),
    [
        (eventlog.json.dumps, "TypeError: Object of type object is not JSON serializable"),
        (lambda value: "text", "its serializer returned str instead of bytes"),
        (lambda value: None, "its serializer returned NoneType instead of bytes"),
    ],
)
def test_an_object_that_cannot_be_serialized_is_not_sent(log: EventLog, serializer: Any, reason: str) -> None:
    log.create_topic("orders")
    with log.producer(value_serializer=serializer) as producer, pytest.raises(SerializationError) as caught:
        producer.send("orders", object())
    assert str(caught.value) == f"the value of a record for topic 'orders' cannot be serialized: {reason}"
    assert (caught.value.topic, caught.value.field) == ("orders", "value")
    assert log.partition("orders", 0).end_offset == 0


def test_numbers_that_json_does_not_know_are_refused(log: EventLog) -> None:
    with log.producer(value_serializer=eventlog.json.dumps) as producer, pytest.raises(SerializationError):
        producer.send("orders", float("nan"))
    assert log.topics() == ["events"]


# --- what cannot be read -----------------------------------------------------------------------------------------------


def test_records_before_a_bad_one_are_handed_out_and_then_it_raises_until_it_is_passed(log: EventLog) -> None:
    fill(log, b"1", b"2", BAD, b"4")
    with log.consumer("orders", group="g", value_deserializer=eventlog.json.loads) as consumer:
        assert values(consumer.poll(10)) == [1, 2]
        for _ in range(2):
            with pytest.raises(DeserializationError) as caught:
                consumer.poll(10)
            error = caught.value
            assert (error.topic_partition, error.offset, error.field) == (PLACE, 2, "value")
            assert error.record == log.partition("orders", 0).read(2, 1)[0]
            assert "the value of the record at offset 2 of orders/0 cannot be deserialized: JSONDecodeError" in str(error)
            assert consumer.position(PLACE) == 2
        consumer.commit()
        assert consumer.committed(PLACE) == 2
        consumer.seek(error.topic_partition, error.offset + 1)
        assert values(consumer.poll(10)) == [4]
        consumer.commit()
        assert consumer.committed(PLACE) == 4


def test_a_restarted_member_meets_the_bad_record_again(log: EventLog) -> None:
    fill(log, b"1", BAD)
    for expected in [[1], []]:
        with log.consumer("orders", group="g", auto_commit=True, value_deserializer=eventlog.json.loads) as consumer:
            assert not expected or values(consumer.poll(10)) == expected
            with pytest.raises(DeserializationError):
                consumer.poll(10)
    assert log.group("g").committed() == {PLACE: 1}


def test_an_iteration_raises_at_the_bad_record_and_the_next_one_goes_on_where_the_caller_says(log: EventLog) -> None:
    fill(log, b"1", BAD, b"3")
    with log.consumer("orders", group="g", value_deserializer=eventlog.json.loads) as consumer:
        seen = []
        for _ in range(2):
            with pytest.raises(DeserializationError) as caught:
                for record in consumer:
                    seen.append(record.value)
                    consumer.commit()
            assert consumer.position(PLACE) == 1
            assert consumer.committed(PLACE) == 1
        assert seen == [1]
        consumer.seek(PLACE, caught.value.offset + 1)
        assert next(iter(consumer)).value == 3
        consumer.commit()
        assert consumer.committed(PLACE) == 3


def test_other_partitions_lose_nothing(log: EventLog) -> None:
    fill(log, b"10", b"20", BAD, b"21", b"12", b"22", partitions=2)
    seen = []
    with log.consumer("orders", value_deserializer=eventlog.json.loads) as consumer:
        while len(seen) < 5:
            try:
                seen += values(consumer.poll(10, max_records=6))
            except DeserializationError as error:
                consumer.seek(error.topic_partition, error.offset + 1)
    assert sorted(seen) == [10, 12, 20, 21, 22]


def test_an_interrupt_of_a_deserializer_loses_no_record(log: EventLog) -> None:
    fill(log, b"1", b"2", b"3")
    interrupts = iter([False, True])

    def load(data: bytes) -> Any:
        if next(interrupts, False):
            raise KeyboardInterrupt
        return eventlog.json.loads(data)

    with log.consumer("orders", group="g", value_deserializer=load) as consumer:
        with pytest.raises(KeyboardInterrupt):
            consumer.poll(10)
        assert values(consumer.poll(10)) == [1, 2, 3]


@pytest.mark.parametrize("way", ["poll", "iterate"])
def test_bad_records_can_be_dropped_which_is_told(log: EventLog, way: str, caplog: pytest.LogCaptureFixture) -> None:
    fill(log, BAD, BAD, b"3", BAD, b"5")
    with log.consumer("orders", group="g", value_deserializer=eventlog.json.loads, refused="drop") as consumer:
        if way == "poll":
            seen = values(consumer.poll(10, max_records=2)) + values(consumer.poll(10))
        else:
            records = iter(consumer)
            seen = [next(records).value, next(records).value]
        consumer.commit()
    assert seen == [3, 5]
    assert log.group("g").committed() == {PLACE: 5}
    told = [record for record in caplog.records if record.name == "eventlog.consumer"]
    assert [record.levelno for record in told] == [logging.WARNING] * 3
    assert "dropped: the value of the record at offset 0 of orders/0" in told[0].getMessage()


def test_a_poll_that_only_passes_over_records_waits_as_long_as_one_that_finds_none(log: EventLog) -> None:
    fill(log, BAD)
    with log.consumer("orders", group="g", value_deserializer=eventlog.json.loads, refused="drop") as consumer:
        assert consumer.poll(0) == []
        assert consumer.poll(0) == []
        consumer.commit()
    assert log.group("g").committed() == {PLACE: 1}


def test_bad_records_can_go_to_another_topic_as_they_were(log: EventLog) -> None:
    log.create_topic("orders")
    with log.producer() as producer:
        producer.send("orders", BAD, b"k", [("h", b"x")], timestamp=1_800_000_000_000)
        producer.send("orders", b"2")
    with log.consumer("orders", value_deserializer=eventlog.json.loads, refused="dead-letter:bad") as consumer:
        assert values(consumer.poll(10)) == [2]
    [dead] = log.partition("bad", 0).read(0)
    assert (dead.key, dead.value, dead.timestamp) == (b"k", BAD, 1_800_000_000_000)
    headers = dict(dead.headers)
    assert headers["h"] == b"x"
    assert (headers["eventlog.refused.topic"], headers["eventlog.refused.offset"]) == (b"orders", b"0")
    assert b"JSONDecodeError" in (headers["eventlog.refused.reason"] or b"")


def test_a_key_that_cannot_be_read_is_named(log: EventLog) -> None:
    log.create_topic("orders")
    log.partition("orders", 0).append(b"1", key=b"seven")
    message = r"the key of the record at offset 0 of orders/0 .*ValueError"
    with (
        log.consumer("orders", value_deserializer=None, key_deserializer=int) as consumer,
        pytest.raises(DeserializationError, match=message) as caught,
    ):
        consumer.poll(10)
    assert caught.value.field == "key"
    assert isinstance(caught.value.__cause__, ValueError)
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (str(copy), copy.record, copy.topic_partition) == (str(caught.value), caught.value.record, PLACE)


def test_a_task_meets_a_bad_record_as_a_thread_does(store: Path) -> None:
    async def main() -> None:
        async with eventlog.aio.open(store) as log:
            fill(log.log, b"1", BAD, b"3")
            async with log.consumer("orders", group="g", value_deserializer=eventlog.json.loads) as consumer:
                assert values(await consumer.poll(10)) == [1]
                with pytest.raises(DeserializationError) as caught:
                    await consumer.poll(10)
                assert await consumer.position(PLACE) == 1
                await consumer.seek(PLACE, caught.value.offset + 1)
                assert values(await consumer.poll(10)) == [3]

    asyncio.run(main())


# --- wrong use ---------------------------------------------------------------------------------------------------------


def test_wrong_options_are_refused_before_anything_is_made(log: EventLog) -> None:
    for option in ("value_serializer", "key_serializer"):
        with pytest.raises(InvalidTypeError, match=f"{option} must be a function that returns bytes, not str"):
            log.producer(**{option: "json"})  # type: ignore[call-overload]
    for option in ("value_deserializer", "key_deserializer"):
        with pytest.raises(InvalidTypeError, match=f"{option} must be a function that takes bytes, not str"):
            log.consumer("orders", **{option: "json"})  # type: ignore[call-overload]
    with pytest.raises(InvalidArgumentError, match="the policy for refused records is 'skip'"):
        log.consumer("orders", value_deserializer=eventlog.json.loads, refused="skip")
    with pytest.raises(InvalidArgumentError, match="there is none"):
        log.consumer("orders", refused="drop")  # type: ignore[call-overload]


# --- models ------------------------------------------------------------------------------------------------------------


def test_pydantic_models_are_values(log: EventLog) -> None:
    pydantic = pytest.importorskip("pydantic")
    import eventlog.pydantic

    class Order(pydantic.BaseModel):  # type: ignore[name-defined,misc]
        number: int
        fruit: str

    with log.producer(value_serializer=eventlog.pydantic.dumps) as producer:
        producer.send("orders", Order(number=7, fruit="pear"))
        with pytest.raises(SerializationError, match="a pydantic model is needed, not dict"):
            producer.send("orders", {})
    log.partition("orders", 0).append(b'{"number":"many"}')
    with log.consumer("orders", value_deserializer=eventlog.pydantic.loads(Order)) as consumer:
        assert values(consumer.poll(10)) == [Order(number=7, fruit="pear")]
        with pytest.raises(DeserializationError, match=r"offset 1 of orders/0.*ValidationError"):
            consumer.poll(10)


def test_msgspec_structs_are_values(log: EventLog) -> None:
    msgspec = pytest.importorskip("msgspec")
    import eventlog.msgspec

    Order = msgspec.defstruct("Order", [("number", int), ("fruit", str)])
    with log.producer(value_serializer=eventlog.msgspec.dumps) as producer:
        producer.send("orders", Order(7, "pear"))
        with pytest.raises(SerializationError, match="TypeError"):
            producer.send("orders", object())
    log.partition("orders", 0).append(b'{"number":"many"}')
    with log.consumer("orders", value_deserializer=eventlog.msgspec.loads(Order)) as consumer:
        assert values(consumer.poll(10)) == [Order(7, "pear")]
        with pytest.raises(DeserializationError, match=r"offset 1 of orders/0.*ValidationError"):
            consumer.poll(10)
