"""Segments of a real broker open, verify and read here; a real broker serves segments that were written here."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import NewTopic

import eventlog
from tests.interop import samples
from tests.interop.apache_kafka import Broker
from tests.support import stores

pytestmark = pytest.mark.kafka

def sendable() -> list[samples.Sample]:
    """What kafka-python's producer takes: it refuses a record with neither key nor value, and headers of null."""
    return [
        sample._replace(headers=tuple(header for header in sample.headers if header[1] is not None))
        for sample in samples.samples()
        if (sample.key, sample.value) != (None, None)
    ]


def produce(broker: Broker, topic: str) -> None:
    producer = KafkaProducer(bootstrap_servers=broker.address, linger_ms=20, acks="all")
    for sample in sendable():
        headers = list(sample.headers)
        producer.send(topic, sample.value, sample.key, headers, partition=0, timestamp_ms=sample.timestamp)
    producer.close()


@pytest.fixture(scope="module")
def written(broker: Broker) -> Path:
    """The data directory of a stopped broker that has compressed the samples with each codec."""
    with broker.running() as admin:
        for codec in samples.CODECS:
            # The broker compresses with the topic's codec, so that it is the broker's own code whose output is read here.
            configs = {"segment.bytes": "1048576", "compression.type": codec if codec != "none" else "uncompressed"}
            admin.create_topics([NewTopic(f"from-{codec}", 1, 1, topic_configs=configs)])
            for _ in range(4 if codec == "none" else 1):
                produce(broker, f"from-{codec}")
    return broker.data


@pytest.mark.parametrize("codec", samples.CODECS)
def test_what_a_broker_wrote_is_read_here_field_by_field(written: Path, store: Path, codec: str) -> None:
    topic = f"from-{codec}"
    (store / "logs").mkdir(parents=True)
    shutil.copytree(written / f"{topic}-0", store / "logs" / f"{topic}-0")
    expected: list[Any] = sendable() * (4 if codec == "none" else 1)
    with eventlog.open(store) as log:
        assert log.topics() == [topic]
        partition = log.partition(topic, 0)
        assert partition.recovery.outcome in ("clean", "trimmed")
        found = [(r.timestamp, r.key, r.value, r.headers) for r in partition.records()]
        assert found == expected
        assert not log.verify()[0].problems
        assert partition.append(b"one more") == len(expected)
        assert [record.value for record in partition.read(len(expected))] == [b"one more"]
    if codec == "none":
        assert len(stores.segments(store, topic=topic)) > 1


def put_into(broker: Broker, topic: str, store: Path) -> None:
    """Replace a stopped broker's log of an empty topic by the one of a closed store."""
    directory = broker.data / f"{topic}-0"
    for file in (*directory.glob("0*"), directory / "leader-epoch-checkpoint"):
        file.unlink(missing_ok=True)
    for file in stores.partition_directory(store).iterdir():
        shutil.copy(file, directory)


def consume(broker: Broker, topic: str, count: int, timestamp: int) -> tuple[list[Any], int]:
    """All records of a topic, which has to hold `count`, and the offset that the broker finds for a time."""
    consumer = KafkaConsumer(bootstrap_servers=broker.address, auto_offset_reset="earliest", consumer_timeout_ms=30_000)
    partition = TopicPartition(topic, 0)
    consumer.assign([partition])
    assert consumer.end_offsets([partition]) == {partition: count}
    records = [next(consumer) for _ in range(count)]
    found = consumer.offsets_for_times({partition: timestamp})[partition].offset
    consumer.close()
    return records, found


def test_a_broker_serves_what_was_written_here(broker: Broker, written: Path, tmp_path: Path) -> None:
    ours = {codec: samples.write(tmp_path / codec, codec=codec) for codec in samples.CODECS}
    with broker.running() as admin:
        admin.create_topics([NewTopic(f"ours-{codec}", 1, 1) for codec in ours])
    for codec in ours:
        put_into(broker, f"ours-{codec}", tmp_path / codec)
    with broker.running():
        for codec, records in ours.items():
            late = records[len(records) // 2].timestamp
            theirs, found = consume(broker, f"ours-{codec}", len(records), late)
            assert [(r.offset, r.timestamp, r.key, r.value, tuple(r.headers)) for r in theirs] == [
                (r.offset, r.timestamp, r.key, r.value, r.headers) for r in records
            ], codec
            with eventlog.open(tmp_path / codec) as log:
                assert stores.open_partition(log).offset_for_time(late) == found, codec
