"""Apache Kafka: confluent-kafka's own loops, which keep no promise when they die, and bridges that deliver exactly once."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import confluent_kafka
from confluent_kafka.admin import AdminClient, NewTopic

from benchmarks.bridges.rounds import SECONDS_MAX, VALUE, Comparison, Load, Way, Work, compared, timed
from tests.interop import apache_kafka
from tests.interop.apache_kafka import Broker

MESSAGES = 500_000

_TO = Way("a bridge ships to Kafka", "confluent-kafka produces", 0.2)
_FROM = Way("a bridge collects from Kafka", "confluent-kafka polls", 0.5)
_FROM_BATCHES = Way("a bridge collects from Kafka", "confluent-kafka consumes a thousand at once", None)
_AT_ONCE = 1000


def why_not() -> str | None:
    """None, or why there is no Kafka here."""
    return apache_kafka.fetch()


@contextmanager
def running(directory: Path) -> Iterator[Broker]:
    """A broker."""
    broker = Broker(directory)
    with broker.running():
        yield broker


def compare(broker: Broker, load: Load, number: int) -> Iterator[Comparison]:
    """One round."""
    topics = [str(uuid.uuid4()) for _ in range(2)]
    admin = AdminClient({"bootstrap.servers": broker.address})
    for created in admin.create_topics([NewTopic(topic, 1, 1) for topic in topics]).values():
        created.result()
    urls = [f"kafka://{broker.address}/{topic}" for topic in topics]
    yield compared(_TO, lambda: _produce(broker, topics[0], load.messages), lambda: load.ship(urls[1]), number)
    for way, at_once in ((_FROM, 1), (_FROM_BATCHES, _AT_ONCE)):
        client = partial(_consume, broker, topics[0], load.messages, at_once)
        yield compared(way, client, lambda: load.collect(urls[0]), number)
    for deleted in admin.delete_topics(topics).values():
        deleted.result()


def _produce(broker: Broker, topic: str, messages: int) -> Work:
    producer = confluent_kafka.Producer({"bootstrap.servers": broker.address})

    def work() -> None:
        produce = producer.produce
        for _ in range(messages):
            while True:
                try:
                    produce(topic, VALUE)
                    break
                except BufferError:
                    producer.poll(0.1)
        if producer.flush(SECONDS_MAX):
            raise RuntimeError("not all messages were produced")

    return timed(messages, work)


def _consume(broker: Broker, topic: str, messages: int, at_once: int) -> Work:
    settings = {"bootstrap.servers": broker.address, "group.id": "bare", "enable.auto.commit": False}
    consumer = confluent_kafka.Consumer(settings)
    consumer.assign([confluent_kafka.TopicPartition(topic, 0, 0)])

    def work() -> None:
        count = 0
        while count < messages:
            # Of several, as many as are there, without waiting for more of them.
            some: Any = consumer.consume(at_once, 0) if at_once > 1 else ()
            for message in some or (consumer.poll(SECONDS_MAX),):
                if message is None or message.error() is not None:
                    raise RuntimeError(f"not all messages came: {message and message.error()}")
                message.value()
                count += 1

    found = timed(messages, work)
    consumer.close()
    return found
