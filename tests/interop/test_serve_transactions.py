"""Transactions of unmodified clients: confluent-kafka, kafka-python, aiokafka, and Kafka's own tools."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from kafka import KafkaConsumer, KafkaProducer
from kafka import TopicPartition as KafkaTopicPartition
from kafka.structs import OffsetAndMetadata

from eventlog import EventLog, TopicPartition
from tests.interop import apache_kafka

pytestmark = pytest.mark.clients

SECONDS_MAX = 30
INPUTS = 100


def committed_values(log: EventLog, topic: str = "outputs") -> list[bytes | None]:
    """What an embedded consumer sees that begins now."""
    with log.consumer(topic) as consumer:
        found: list[bytes | None] = []
        while records := consumer.poll(timeout=0):
            found += [record.value for record in records]
        return found


@pytest.fixture
def inputs(log: EventLog) -> list[bytes]:
    """The values in two partitions of `inputs`."""
    log.create_topic("inputs", 2)
    log.create_topic("outputs", 2)
    values = [b"%d" % number for number in range(INPUTS)]
    for number, value in enumerate(values):
        log.partition("inputs", number % 2).append(value)
    return values


def test_confluent_transforms_each_record_exactly_once(bootstrap: str, log: EventLog, inputs: list[bytes]) -> None:
    confluent_kafka = pytest.importorskip("confluent_kafka")
    options = {
        "bootstrap.servers": bootstrap, "group.id": "g", "auto.offset.reset": "earliest", "enable.auto.commit": False,
    }  # fmt: skip
    consumer = confluent_kafka.Consumer(options)
    producer = confluent_kafka.Producer({"bootstrap.servers": bootstrap, "transactional.id": "t"})
    consumer.subscribe(["inputs"])
    producer.init_transactions(SECONDS_MAX)
    done = attempts = 0
    while done < INPUTS:
        messages = [each for each in consumer.consume(20, timeout=1) if not each.error()]
        if not messages:
            continue
        attempts += 1
        producer.begin_transaction()
        for message in messages:
            producer.produce("outputs", message.value())
        if attempts % 3 == 2:
            producer.flush()
            producer.abort_transaction(SECONDS_MAX)
            for partition in consumer.committed(consumer.assignment(), SECONDS_MAX):
                partition.offset = max(0, partition.offset)
                consumer.seek(partition)
            continue
        producer.send_offsets_to_transaction(
            consumer.position(consumer.assignment()), consumer.consumer_group_metadata(), SECONDS_MAX
        )
        producer.commit_transaction(SECONDS_MAX)
        done += len(messages)
    consumer.close()
    assert sorted(committed_values(log)) == sorted(inputs)  # type: ignore[type-var]
    assert log.group("g").committed() == {TopicPartition("inputs", 0): 50, TopicPartition("inputs", 1): 50}


def test_confluent_hears_that_it_is_fenced(bootstrap: str, log: EventLog, inputs: list[bytes]) -> None:
    confluent_kafka = pytest.importorskip("confluent_kafka")
    older, newer = (
        confluent_kafka.Producer({"bootstrap.servers": bootstrap, "transactional.id": "t"}) for _ in range(2)
    )
    older.init_transactions(SECONDS_MAX)
    older.begin_transaction()
    older.produce("outputs", b"zombie")
    older.flush()
    newer.init_transactions(SECONDS_MAX)
    with pytest.raises(confluent_kafka.KafkaException) as caught:
        older.commit_transaction(SECONDS_MAX)
    assert caught.value.args[0].code() == confluent_kafka.KafkaError._FENCED
    assert committed_values(log) == []


def test_kafka_python_commits_aborts_and_reads_what_is_committed(bootstrap: str, log: EventLog, inputs: list[bytes]) -> None:
    producer = KafkaProducer(bootstrap_servers=bootstrap, transactional_id="t")
    producer.init_transactions()
    producer.begin_transaction()
    producer.send("outputs", b"aborted").get(SECONDS_MAX)
    producer.abort_transaction()
    producer.begin_transaction()
    for value in inputs:
        producer.send("outputs", value)
    producer.send_offsets_to_transaction({KafkaTopicPartition("inputs", 0): OffsetAndMetadata(10, "", -1)}, "g")
    producer.commit_transaction()
    producer.close()
    consumer = KafkaConsumer(
        "outputs", bootstrap_servers=bootstrap, isolation_level="read_committed", auto_offset_reset="earliest"
    )
    read = [next(consumer).value for _ in range(INPUTS)]
    consumer.close()
    assert sorted(read) == sorted(inputs)
    assert sorted(committed_values(log)) == sorted(inputs)  # type: ignore[type-var]
    assert log.group("g").committed() == {TopicPartition("inputs", 0): 10}


def test_aiokafka_commits_and_aborts(bootstrap: str, log: EventLog, inputs: list[bytes]) -> None:
    aiokafka = pytest.importorskip("aiokafka")

    async def run() -> None:
        producer = aiokafka.AIOKafkaProducer(bootstrap_servers=bootstrap, transactional_id="t")
        await producer.start()
        async with producer.transaction():
            await producer.send("outputs", b"committed")
            await producer.send_offsets_to_transaction({aiokafka.TopicPartition("inputs", 1): 9}, "g")
        with pytest.raises(ZeroDivisionError):
            async with producer.transaction():
                await producer.send_and_wait("outputs", b"aborted")
                raise ZeroDivisionError
        await producer.stop()

    asyncio.run(run())
    assert committed_values(log) == [b"committed"]
    assert log.group("g").committed() == {TopicPartition("inputs", 1): 9}


@pytest.mark.kafka
@pytest.mark.usefixtures("kafka")
def test_kafkas_own_tools_have_transactions(bootstrap: str, log: EventLog, inputs: list[bytes]) -> None:
    tools, where = "org.apache.kafka.tools", ["--bootstrap-server", bootstrap]
    options: list[Any] = ["--num-records", "5000", "--record-size", "100", "--throughput", "-1"]
    properties = ["--producer-props", f"bootstrap.servers={bootstrap}"]
    transactional = ["--transactional-id", "perf", "--transaction-duration-ms", "20"]
    apache_kafka.run(f"{tools}.ProducerPerformance", "--topic", "outputs", *options, *properties, *transactional)
    assert len(committed_values(log)) == 5000
    with log.producer(transactional_id="embedded") as producer:
        producer.begin()
        producer.send("inputs", b"open", partition=0)
        producer.flush()
        listed = apache_kafka.run(f"{tools}.TransactionsCommand", *where, "list")
        assert "perf" in listed and "embedded" in listed and "Ongoing" in listed
        described = apache_kafka.run(f"{tools}.TransactionsCommand", *where, "describe", "--transactional-id", "embedded")
        assert "inputs-0" in described
        of_partition = ["describe-producers", "--topic", "inputs", "--partition", "0"]
        assert "100" in apache_kafka.run(f"{tools}.TransactionsCommand", *where, *of_partition)  # where it begins
