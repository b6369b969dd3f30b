"""Apache Kafka: a real broker of one node, with confluent-kafka as the client."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import confluent_kafka
from confluent_kafka import admin

from benchmarks.peers.peer import RECEIVE_SECONDS_MAX, Durability, Peer, Session, Stream
from benchmarks.workloads import BATCH_EVENTS, Events
from tests.interop import apache_kafka

_QUEUED_EVENTS_MAX = 500_000
_LOG_LEVEL = 4  # warnings


class _Session(Session):
    def __init__(self, stream: Stream) -> None:
        self._address = stream.address
        self._topic = stream.name
        self._consumer: Any = None
        self._producers: dict[int, Any] = {}

    def _producer(self, linger_ms: int) -> Any:
        """One that waits for others to join a batch for throughput, or does not, for one event at a time."""
        if linger_ms not in self._producers:
            self._producers[linger_ms] = confluent_kafka.Producer(
                {
                    "bootstrap.servers": self._address,
                    "acks": "all",
                    "log_level": _LOG_LEVEL,
                    "linger.ms": linger_ms,
                    "batch.num.messages": 10_000,
                    "queue.buffering.max.messages": _QUEUED_EVENTS_MAX,
                }
            )
        return self._producers[linger_ms]

    def appender(self) -> Callable[..., object]:
        producer, topic = self._producer(0), self._topic

        def append(value: bytes) -> None:
            producer.produce(topic, value)
            producer.flush()

        return append

    def append_batches(self, batches: Sequence[Events]) -> None:
        for batch in batches:
            self.send(batch)

    def send(self, events: Events) -> None:
        producer, topic = self._producer(5), self._topic
        produce = producer.produce
        for value in events.values:
            try:
                produce(topic, value)
            except BufferError:
                producer.poll(1)
                produce(topic, value)
        producer.flush()

    def _new_consumer(self, group: str, offset: int) -> Any:
        consumer = confluent_kafka.Consumer(
            {
                "bootstrap.servers": self._address,
                "group.id": group,
                "enable.auto.commit": False,
                "log_level": _LOG_LEVEL,
                "auto.offset.reset": "earliest",
                "fetch.wait.max.ms": 10,
            }
        )
        consumer.assign([confluent_kafka.TopicPartition(self._topic, 0, offset)])
        return consumer

    def read(self, count: int) -> None:
        consumer = self._new_consumer("reader", 0)
        _take(consumer, count, BATCH_EVENTS)
        consumer.close()

    def seek(self, offsets: Sequence[int]) -> None:
        consumer = self._new_consumer("seeker", 0)
        consumer.poll(RECEIVE_SECONDS_MAX)  # only then can it seek
        for offset in offsets:
            consumer.seek(confluent_kafka.TopicPartition(self._topic, 0, offset))
            assert consumer.poll(RECEIVE_SECONDS_MAX).offset() == offset
        consumer.close()

    def join(self, is_committing: bool) -> None:
        self._consumer = self._new_consumer("readers", 0)
        assert self._consumer.poll(RECEIVE_SECONDS_MAX) is not None

    def consume(self, count: int, commit_every: int | None) -> None:
        step = commit_every or BATCH_EVENTS
        for _ in range(0, count, step):
            _take(self._consumer, step, step)
            self._consumer.commit(asynchronous=False)

    def listen(self) -> None:
        self._consumer = self._new_consumer("listener", confluent_kafka.OFFSET_END)
        self._consumer.poll(1)  # the position of the end is asked for now

    def receive(self) -> None:
        message = self._consumer.poll(RECEIVE_SECONDS_MAX)
        if message is None:
            raise TimeoutError("no event came")

    def close(self) -> None:
        if self._consumer is not None:
            self._consumer.close()


def _take(consumer: Any, count: int, step: int) -> None:
    seen = 0
    while seen < count:
        found = consumer.consume(min(step, count - seen), RECEIVE_SECONDS_MAX)
        assert found, "no event came"
        seen += len(found)


class Contender(Peer):
    """A broker of its own, and a topic with one partition in it."""

    name = "kafka"
    packages = ("confluent-kafka",)
    settings: ClassVar = {
        "process": "acks=all, linger.ms=5 (0 for one at a time), one replica",
        "disk": "the same, and flush.messages=1",
    }
    lacks: ClassVar = {"commit": "see consume, commit each"}

    def why_not(self) -> str | None:
        return apache_kafka.fetch()

    def versions(self) -> dict[str, str]:
        jar = next(apache_kafka.JARS.glob("kafka_2.13-*.jar"))
        return {**super().versions(), "Apache Kafka": jar.stem.removeprefix("kafka_2.13-")}

    @contextmanager
    def running(self, directory: Path, durability: Durability) -> Iterator[str]:
        directory.mkdir(parents=True)
        broker = apache_kafka.Broker(directory)
        with broker.running():
            yield broker.address

    def create(self, stream: Stream) -> None:
        config = {"flush.messages": "1"} if stream.durability == "disk" else {}
        client = admin.AdminClient({"bootstrap.servers": stream.address, "log_level": _LOG_LEVEL})
        client.create_topics([admin.NewTopic(stream.name, stream.partitions, 1, config=config)])[stream.name].result()

    def open(self, stream: Stream, partition: int = 0) -> Session:
        return _Session(stream)

    def drop(self, stream: Stream) -> None:
        client = admin.AdminClient({"bootstrap.servers": stream.address, "log_level": _LOG_LEVEL})
        client.delete_topics([stream.name])[stream.name].result()
