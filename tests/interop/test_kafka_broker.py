"""The pytest fixture `kafka_broker` with the clients that test suites use."""

from __future__ import annotations

import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from eventlog.testing import KafkaBroker

pytestmark = pytest.mark.clients

SECONDS_MAX = 30


@pytest.mark.parametrize("number", range(2))
def test_kafka_python(kafka_broker: KafkaBroker, number: int) -> None:
    producer = KafkaProducer(bootstrap_servers=kafka_broker.bootstrap)
    assert producer.send("orders", b"%d" % number).get(SECONDS_MAX).offset == 0
    consumer = KafkaConsumer(bootstrap_servers=kafka_broker.bootstrap, auto_offset_reset="earliest")
    consumer.assign([TopicPartition("orders", 0)])
    assert next(consumer).value == b"%d" % number
    consumer.close()
    producer.close()


@pytest.mark.kafka_broker(partitions=2)
@pytest.mark.parametrize("number", range(2))
def test_confluent_kafka(kafka_broker: KafkaBroker, number: int) -> None:
    confluent_kafka = pytest.importorskip("confluent_kafka")
    producer = confluent_kafka.Producer({"bootstrap.servers": kafka_broker.bootstrap})
    producer.produce("orders", b"%d" % number, partition=1)
    assert producer.flush(SECONDS_MAX) == 0
    kafka_broker.log.partition("orders", 1).append(b"embedded")
    options = {"bootstrap.servers": kafka_broker.bootstrap, "group.id": "test", "enable.auto.commit": False}
    consumer = confluent_kafka.Consumer(options)
    consumer.assign([confluent_kafka.TopicPartition("orders", 1, 0)])
    values: list[bytes] = []
    while len(values) < 2:
        messages = consumer.consume(2 - len(values), SECONDS_MAX)
        assert messages and not any(message.error() for message in messages)
        values += [message.value() for message in messages]
    consumer.close()
    assert values == [b"%d" % number, b"embedded"]
