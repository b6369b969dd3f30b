"""`eventlog serve` with clients as people have them: kafka-python, confluent-kafka on librdkafka, and Kafka's own tools."""

from __future__ import annotations

from typing import Any

import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import NewTopic

from eventlog import EventLog
from tests.interop import apache_kafka

pytestmark = pytest.mark.clients

CODECS = ["gzip", "snappy", "lz4", "zstd"]
SECONDS_MAX = 30


def kafka_python_values(bootstrap: str, topic: str, count: int) -> list[bytes]:
    consumer = KafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    consumer.assign([TopicPartition(topic, 0)])
    values = [next(consumer).value for _ in range(count)]
    consumer.close()
    return values


def confluent_values(bootstrap: str, topic: str, count: int, offset: int = 0) -> list[bytes]:
    confluent_kafka = pytest.importorskip("confluent_kafka")
    options = {"bootstrap.servers": bootstrap, "group.id": "unused", "enable.auto.commit": False, "check.crcs": True}
    consumer = confluent_kafka.Consumer(options)
    consumer.assign([confluent_kafka.TopicPartition(topic, 0, offset)])
    values: list[bytes] = []
    while len(values) < count:
        messages = consumer.consume(count - len(values), SECONDS_MAX)
        assert messages and not any(message.error() for message in messages)
        values += [message.value() for message in messages]
    consumer.close()
    return values


READERS = [kafka_python_values, confluent_values]


def confluent_produce(bootstrap: str, topic: str, values: list[bytes], **options: Any) -> list[int]:
    confluent_kafka = pytest.importorskip("confluent_kafka")
    producer = confluent_kafka.Producer({"bootstrap.servers": bootstrap, **options})
    offsets: list[int] = []

    def delivered(error: Any, message: Any) -> None:
        assert error is None
        offsets.append(message.offset())

    for value in values:
        producer.produce(topic, value, on_delivery=delivered)
    assert producer.flush(SECONDS_MAX) == 0
    return offsets


def test_the_sample_that_everybody_begins_with(bootstrap: str, log: EventLog) -> None:
    producer = KafkaProducer(bootstrap_servers=bootstrap)
    assert producer.send("test", b"Hello World!").get(SECONDS_MAX).offset == 0
    producer.close()
    assert [record.value for record in log.partition("test", 0).read(0)] == [b"Hello World!"]


@pytest.mark.parametrize("values_of", READERS)
def test_clients_read_what_embedded_producers_send(bootstrap: str, log: EventLog, values_of: Any) -> None:
    with log.producer(linger_ms=5) as producer:
        sent = [b"value %d" % number for number in range(1000)]
        for value in sent:
            producer.send("orders", value)
    assert values_of(bootstrap, "orders", 1000) == sent


@pytest.mark.parametrize("codec", [None, *CODECS])
def test_kafka_python_produces_in_every_codec(bootstrap: str, log: EventLog, codec: str | None) -> None:
    producer = KafkaProducer(bootstrap_servers=bootstrap, compression_type=codec, linger_ms=20)
    sent = [b"value %d " % number * 20 for number in range(300)]
    for value in sent:
        producer.send("orders", value, key=b"k", headers=[("h", b"1")])
    producer.close()
    found = log.partition("orders", 0).read(0)
    assert [(record.key, record.value, record.headers) for record in found] == [(b"k", value, (("h", b"1"),)) for value in sent]
    assert [confluent_values(bootstrap, "orders", 300), kafka_python_values(bootstrap, "orders", 300)] == [sent, sent]


@pytest.mark.parametrize("codec", ["none", *CODECS])
@pytest.mark.parametrize("is_idempotent", [False, True])
def test_confluent_produces_in_every_codec(bootstrap: str, log: EventLog, codec: str, is_idempotent: bool) -> None:
    sent = [b"value %d " % number * 20 for number in range(300)]
    options = {"compression.type": codec, "enable.idempotence": is_idempotent}
    assert confluent_produce(bootstrap, "orders", sent, **options) == list(range(300))
    assert [record.value for record in log.partition("orders", 0).records()] == sent
    assert [confluent_values(bootstrap, "orders", 300), kafka_python_values(bootstrap, "orders", 300)] == [sent, sent]


@pytest.mark.parametrize("acks", [0, 1, "all"])
def test_every_kind_of_acks(bootstrap: str, log: EventLog, acks: Any) -> None:
    confluent_produce(bootstrap, "orders", [b"a"], acks=acks)
    producer = KafkaProducer(bootstrap_servers=bootstrap, acks=acks)
    producer.send("orders", b"b")
    producer.close()
    assert log.partition("orders", 0).wait(1, SECONDS_MAX)
    assert [record.value for record in log.partition("orders", 0).read(0)] == [b"a", b"b"]


def test_positions_and_times(bootstrap: str, log: EventLog) -> None:
    log.create_topic("orders")
    log.partition("orders", 0).append_many([b"a", b"b", b"c"], timestamps=[1000, 2000, 3000])
    partition = TopicPartition("orders", 0)
    consumer = KafkaConsumer(bootstrap_servers=bootstrap)
    consumer.assign([partition])
    assert (consumer.beginning_offsets([partition]), consumer.end_offsets([partition])) == ({partition: 0}, {partition: 3})
    assert consumer.offsets_for_times({partition: 1500})[partition].offset == 1
    consumer.seek(partition, 2)
    assert next(consumer).value == b"c"
    consumer.close()


def test_a_client_that_polls_sees_what_is_appended_meanwhile(bootstrap: str, log: EventLog) -> None:
    log.create_topic("orders")
    consumer = KafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    consumer.assign([TopicPartition("orders", 0)])
    for number in range(20):
        log.partition("orders", 0).append(b"%d" % number)
        assert next(consumer).value == b"%d" % number
    consumer.close()


def test_topics_are_made_and_deleted_by_kafka_pythons_admin(bootstrap: str, log: EventLog) -> None:
    admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    admin.create_topics([NewTopic("orders", num_partitions=3, replication_factor=1)])
    assert log.topic("orders").partitions == 3
    assert admin.list_topics() == ["orders"]
    admin.delete_topics(["orders"])
    assert log.topics() == []
    admin.close()


def test_topics_are_made_and_deleted_by_confluents_admin(bootstrap: str, log: EventLog) -> None:
    admin_module = pytest.importorskip("confluent_kafka.admin")
    admin = admin_module.AdminClient({"bootstrap.servers": bootstrap})
    wanted = admin_module.NewTopic("orders", 3, 1, config={"retention.ms": "1000"})
    admin.create_topics([wanted])["orders"].result(SECONDS_MAX)
    assert (log.topic("orders").partitions, log.topic("orders").config) == (3, {"retention.ms": 1000})
    admin.delete_topics(["orders"])["orders"].result(SECONDS_MAX)
    assert log.topics() == []


@pytest.mark.kafka
@pytest.mark.usefixtures("kafka")
def test_kafkas_own_tools_produce_consume_and_list(bootstrap: str, log: EventLog) -> None:
    options = ["--num-records", "5000", "--record-size", "100", "--throughput", "-1"]
    properties = f"bootstrap.servers={bootstrap}"
    tools = "org.apache.kafka.tools"
    apache_kafka.run(f"{tools}.ProducerPerformance", "--topic", "orders", *options, "--producer-props", properties)
    values = [record.value or b"" for record in log.partition("orders", 0).records()]
    assert len(values) == 5000
    where = ["--bootstrap-server", bootstrap]
    start = ["--topic", "orders", "--partition", "0", "--offset", "4990", "--max-messages", "10"]
    printed = apache_kafka.run(f"{tools}.consumer.ConsoleConsumer", *where, *start)
    assert [value.decode() for value in values[4990:]] == [line for line in printed.splitlines() if len(line) == 100]
    assert "orders:0:5000" in apache_kafka.run(f"{tools}.GetOffsetShell", *where)
    apache_kafka.run(f"{tools}.TopicCommand", *where, "--create", "--topic", "made", "--partitions", "3")
    assert log.topic("made").partitions == 3
