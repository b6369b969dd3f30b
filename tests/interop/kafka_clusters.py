"""What tests of bridges to Kafka need: a cluster, endpoints as a bridge makes them, and the loops of a bridge in short."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any, NamedTuple

import eventlog
from eventlog import EventLog, Record, TopicPartition
from eventlog.bridges.endpoints import Refusal, Sink, SinkContext, Source, SourceContext
from eventlog.bridges.message import Message, Origin
from eventlog.bridges.systems import make_sink, make_source
from eventlog.bridges.url import Url

WINDOW_RECORDS = 2_000
WAIT_SECONDS = 0.5  # for what is there: the last wait of each loop takes that long
SECONDS_MAX = 30.0


class KafkaCluster(NamedTuple):
    """A running cluster, whichever it is."""

    bootstrap: str

    def url(self, topic: str = "", options: str = "") -> str:
        return f"kafka://{self.bootstrap}/{topic}{'?' if options else ''}{options}"

    def await_groups(self) -> None:
        """Return once the cluster answers for groups: a new one creates its own topics when they are first asked for."""
        import confluent_kafka

        consumer = confluent_kafka.Consumer({"bootstrap.servers": self.bootstrap, "group.id": "first"})
        self.create_topic("first")
        deadline = time.monotonic() + SECONDS_MAX
        while time.monotonic() < deadline:
            try:
                consumer.commit(offsets=[confluent_kafka.TopicPartition("first", 0, 0)], asynchronous=False)
                break
            except confluent_kafka.KafkaException:
                continue
        consumer.close()

    def create_topic(self, name: str, partitions: int = 1, **settings: str) -> None:
        from confluent_kafka.admin import AdminClient, NewTopic

        config = {setting.replace("_", "."): value for setting, value in settings.items()}
        admin = AdminClient({"bootstrap.servers": self.bootstrap})
        admin.create_topics([NewTopic(name, partitions, 1, config=config)])[name].result(SECONDS_MAX)

    def replace_topic(self, name: str, partitions: int = 1) -> None:
        """Delete a topic, and create another one of its name, which takes a cluster a moment."""
        from confluent_kafka import KafkaException
        from confluent_kafka.admin import AdminClient

        admin = AdminClient({"bootstrap.servers": self.bootstrap})
        admin.delete_topics([name])[name].result(SECONDS_MAX)
        deadline = time.monotonic() + SECONDS_MAX
        while True:
            try:
                return self.create_topic(name, partitions)
            except KafkaException as error:
                if error.args[0].name() != "TOPIC_ALREADY_EXISTS" or time.monotonic() > deadline:
                    raise

    def messages(self, topic: str, partition: int = 0) -> list[Any]:
        """What is committed in a partition."""
        import confluent_kafka

        asked = confluent_kafka.TopicPartition(topic, partition, 0)
        options = {"bootstrap.servers": self.bootstrap, "group.id": "test", "enable.partition.eof": True}
        consumer = confluent_kafka.Consumer({**options, "enable.auto.commit": False})
        consumer.assign([asked])
        found: list[Any] = []
        while (message := consumer.poll(SECONDS_MAX)) is not None and message.error() is None:
            found.append(message)
        consumer.close()
        assert message is not None, "Kafka does not answer"
        return found

    def values(self, topic: str, partition: int = 0) -> list[bytes | None]:
        return [message.value() for message in self.messages(topic, partition)]

    def produce(self, topic: str, values: Iterable[bytes], partition: int = 0, transactional_id: str | None = None) -> None:
        import confluent_kafka

        transactional = {} if transactional_id is None else {"transactional.id": transactional_id}
        producer = confluent_kafka.Producer({"bootstrap.servers": self.bootstrap, **transactional})
        if transactional_id is not None:
            producer.init_transactions(SECONDS_MAX)
            producer.begin_transaction()
        for value in values:
            producer.produce(topic, value, partition=partition)
        if transactional_id is not None:
            producer.commit_transaction(SECONDS_MAX)
        assert producer.flush(SECONDS_MAX) == 0


def sink_to(url: str, topic: str = "orders", group: str = "to-kafka", create: str | None = None) -> Sink:
    origin = Origin("id-of-the-topic", topic, group)
    return make_sink(Url(url), SinkContext(origin, WINDOW_RECORDS, 2**23, create, eventlog.open))


def ship(sink: Sink, log: EventLog, partitions: Iterable[TopicPartition], offset: int = 0) -> list[Refusal]:
    """Send what these partitions have from where the target lacks it, and return what was refused."""
    committed = dict.fromkeys(partitions, offset)
    begin = committed | dict(sink.assign(committed))
    records = [record for each, first in begin.items() for record in log.partition(*each).records(first)]
    return send(sink, records)


def send(sink: Sink, records: list[Record]) -> list[Refusal]:
    refused: list[Refusal] = []
    settled = 0
    sink.send(records)
    while settled < len(records):
        outcomes = sink.outcomes(SECONDS_MAX)
        refused += outcomes.refused
        settled += len(outcomes.confirmed) + len(outcomes.refused)
        if outcomes.fenced:
            break
    return refused


def source_of(url: str, log: EventLog, topic: str = "orders") -> Source:
    def position(source: str, partition: int) -> int | None:
        """The offset after the last one of this source that the topic has."""
        offsets = [
            int(dict(record.headers)["eventlog.offset"] or b"")
            for record in log.partition(topic, partition).records()
            if dict(record.headers).get("eventlog.source") == source.encode()
        ]
        return offsets[-1] + 1 if offsets else None

    context = SourceContext(topic, position, None, None, None, WINDOW_RECORDS, 2**20, eventlog.open)
    return make_source(Url(url), context)


def receive(source: Source, count_max: int = 500) -> list[Message]:
    """Everything that is there."""
    found: list[Message] = []
    while messages := source.receive(WAIT_SECONDS if found else SECONDS_MAX, count_max):
        found += messages
    return found
