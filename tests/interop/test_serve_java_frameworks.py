"""`eventlog serve` under what Apache Kafka has on top of its clients: Streams, Connect and MirrorMaker."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import NewTopic
from kafka.structs import OffsetAndMetadata

from eventlog import EventLog
from tests.interop import apache_kafka
from tests.interop.apache_kafka import PROJECT, Program, free_ports

pytestmark = [pytest.mark.kafka, pytest.mark.usefixtures("kafka")]

SECONDS_MAX = 180  # on a busy machine, Java programs take a minute to start
WORD_COUNT = PROJECT.with_name("WordCount.java")
WORDS, LINES = 8, 2000
MIRRORED = 1000


class Results:
    """What an embedded consumer sees of a topic, which is told nothing of aborted or open transactions."""

    def __init__(self, log: EventLog, topic: str) -> None:
        self._consumer = log.consumer(topic)
        self.records: list[tuple[str, str]] = []

    def wait(self, count: int, program: Program) -> None:
        """Until there are so many records."""
        while len(self.records) < count:
            records = self._consumer.poll(timeout=SECONDS_MAX)
            assert records, f"{len(self.records)} of {count} records: {program.output.read_text()}"
            self.records += [((each.key or b"").decode(), (each.value or b"").decode()) for each in records]


def test_streams_counts_exactly_once_although_it_is_killed(bootstrap: str, log: EventLog, tmp_path: Path) -> None:
    for topic in ("lines", "counts"):
        log.create_topic(topic, 2)
    lines = [f"word{number % WORDS} word{number % 3}".encode() for number in range(LINES)]
    for partition in (0, 1):
        log.partition("lines", partition).append_many(lines)
    expected = Counter(word for line in lines * 2 for word in line.decode().split())
    results = Results(log, "counts")
    for count in (LINES, expected.total()):
        with Program(tmp_path / "output", str(WORD_COUNT), bootstrap, str(tmp_path / "state")) as program:
            results.wait(count, program)
    counted: dict[str, list[int]] = {word: [] for word in expected}
    for word, found in results.records:
        counted[word].append(int(found))
    assert counted == {word: list(range(1, count + 1)) for word, count in expected.items()}


def write_properties(file: Path, properties: Mapping[str, object]) -> str:
    """The path of a file of settings for a Java program."""
    file.write_text("".join(f"{key}={value}\n" for key, value in properties.items()))
    return str(file)


def connect(directory: Path, bootstrap: str) -> Program:
    """Kafka Connect, which copies the lines of the file `source` to the topic `lines`, and from there to the file `sink`."""
    port, _ = free_ports()
    worker = {
        "bootstrap.servers": bootstrap, "listeners": f"http://127.0.0.1:{port}", "plugin.discovery": "only_scan",
        "key.converter": "org.apache.kafka.connect.storage.StringConverter",
        "value.converter": "org.apache.kafka.connect.storage.StringConverter",
        "offset.storage.file.filename": directory / "offsets", "offset.flush.interval.ms": 500,
    }  # fmt: skip
    source = {"name": "source", "connector.class": "FileStreamSource", "file": directory / "source", "topic": "lines"}
    sink = {"name": "sink", "connector.class": "FileStreamSink", "file": directory / "sink", "topics": "lines"}
    settings = {"worker": worker, "source": source, "sink": sink}
    files = [write_properties(directory / f"{name}.properties", properties) for name, properties in settings.items()]
    return Program(directory / "output", "org.apache.kafka.connect.cli.ConnectStandalone", *files)


def test_connect_copies_files_to_a_topic_and_back(bootstrap: str, log: EventLog, tmp_path: Path) -> None:
    log.create_topic("lines", 2)
    results = Results(log, "lines")
    lines: list[str] = []
    for start in (0, 500):
        more = [f"line {number}" for number in range(start, start + 500)]
        lines += more
        with open(tmp_path / "source", "a") as file:
            file.write("".join(f"{line}\n" for line in more))
        with connect(tmp_path, bootstrap) as program:
            results.wait(len(lines), program)
            lines += ["embedded"] * 2
            with log.producer() as producer:
                for receipt in [producer.send("lines", b"embedded", partition=partition) for partition in (0, 1)]:
                    assert receipt.wait_acked("connect-sink", SECONDS_MAX)
            program.stop()
        assert sorted((tmp_path / "sink").read_text().splitlines()) == sorted(lines)


def mirror_maker(directory: Path, kafka: str, store: str) -> Program:
    """MirrorMaker, which copies topics and the offsets of groups both ways; a copy is named after its source and its topic."""
    port, _ = free_ports()
    settings = {
        "clusters": "kafka,store", "kafka.bootstrap.servers": kafka, "store.bootstrap.servers": store,
        "kafka->store.enabled": "true", "store->kafka.enabled": "true", "topics": "orders.*", "groups": "shop.*",
        "sync.group.offsets.enabled": "true", "sync.group.offsets.interval.seconds": 1, "offset.lag.max": 0,
        "emit.checkpoints.interval.seconds": 1, "refresh.topics.interval.seconds": 1, "refresh.groups.interval.seconds": 1,
        "emit.heartbeats.enabled": "false", "replication.factor": 1, "listeners": f"http://127.0.0.1:{port}",
        "checkpoints.topic.replication.factor": 1, "heartbeats.topic.replication.factor": 1,
        "offset-syncs.topic.replication.factor": 1, "config.storage.replication.factor": 1,
        "offset.storage.replication.factor": 1, "status.storage.replication.factor": 1, "offset.storage.partitions": 1,
        "status.storage.partitions": 1,
    }  # fmt: skip
    file = write_properties(directory / "mirror.properties", settings)
    return Program(directory / "output", "org.apache.kafka.connect.mirror.MirrorMaker", file)


def fill(bootstrap: str, topic: str) -> list[tuple[int, bytes, bytes]]:
    """Produce records to both partitions of a topic, and commit their end as the group `shop`: partition, key, value."""
    sent = [(number % 2, b"key %d" % number, b"%s %d" % (topic.encode(), number)) for number in range(MIRRORED)]
    producer = KafkaProducer(bootstrap_servers=bootstrap, linger_ms=20)
    for partition, key, value in sent:
        producer.send(topic, value, key, [("header", value)], partition=partition, timestamp_ms=1_700_000_000_000)
    producer.close()
    consumer = KafkaConsumer(bootstrap_servers=bootstrap, group_id="shop", enable_auto_commit=False)
    consumer.assign([TopicPartition(topic, partition) for partition in (0, 1)])
    consumer.commit({TopicPartition(topic, partition): OffsetAndMetadata(MIRRORED // 2, "", -1) for partition in (0, 1)})
    consumer.close()
    return sent


def wait_until(condition: Callable[[], bool], program: Program) -> None:
    """Until it is so, while the program runs."""
    for _ in range(SECONDS_MAX * 5):
        if condition():
            return
        assert program.runs_for(0.2), program.output.read_text()
    raise AssertionError(program.output.read_text())


def mirrored(admin: KafkaAdminClient, bootstrap: str, topic: str, program: Program) -> list[tuple[int, bytes, bytes]]:
    """The records of a copy, once there are as many as in its source."""
    wait_until(lambda: topic in admin.list_topics(), program)
    consumer = KafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest", consumer_timeout_ms=SECONDS_MAX * 1000)
    consumer.assign([TopicPartition(topic, partition) for partition in (0, 1)])
    records = list(itertools.islice(consumer, MIRRORED))
    consumer.close()
    assert len(records) == MIRRORED, program.output.read_text()
    assert all(record.headers == [("header", record.value)] for record in records)
    assert {record.timestamp for record in records} == {1_700_000_000_000}
    return [(record.partition, record.key, record.value) for record in records]


def wait_for_offsets(admin: KafkaAdminClient, topic: str, program: Program) -> None:
    """Until the group `shop` is at the end of a copy."""
    expected = {TopicPartition(topic, partition): MIRRORED // 2 for partition in (0, 1)}

    def are_there() -> bool:
        listed = admin.list_group_offsets({"shop": list(expected)})["shop"]
        return {partition: entry.offset for partition, entry in listed.items()} == expected

    wait_until(are_there, program)


def test_mirror_maker_copies_from_a_real_broker_and_to_it(
    bootstrap: str, log: EventLog, broker: apache_kafka.Broker, tmp_path: Path
) -> None:
    log.create_topic("orders-of-store", 2)
    with broker.running() as kafka_admin:
        kafka_admin.create_topics([NewTopic("orders-of-kafka", 2, 1)])
        of_kafka, of_store = fill(broker.address, "orders-of-kafka"), fill(bootstrap, "orders-of-store")
        with mirror_maker(tmp_path, broker.address, bootstrap) as program:
            admin = KafkaAdminClient(bootstrap_servers=bootstrap)
            assert sorted(mirrored(admin, bootstrap, "kafka.orders-of-kafka", program)) == sorted(of_kafka)
            assert sorted(mirrored(kafka_admin, broker.address, "store.orders-of-store", program)) == sorted(of_store)
            wait_for_offsets(admin, "kafka.orders-of-kafka", program)
            wait_for_offsets(kafka_admin, "store.orders-of-store", program)
            admin.close()
            program.stop()
