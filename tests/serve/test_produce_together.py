"""Produce requests that arrive together: each is answered as it would be alone, and in order."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

import eventlog
from eventlog import EventLog, Partition
from eventlog.serve import errors
from eventlog.serve.protocol.messages import kind
from tests.serve.batches import TIMESTAMP, batch, with_wrong_checksum
from tests.serve.client import RawClient
from tests.serve.conftest import RunningServer, running_server

TOPICS = ("events", "e", "another-topic")
PARTITIONS = 3
GZIP = 1


@pytest.fixture
def topics(log: EventLog) -> None:
    for name in TOPICS[1:]:
        log.create_topic(name, PARTITIONS)


def request_of(topic: str, partition: int, records: bytes) -> list[Any]:
    data = kind("ProduceRequest", "PartitionProduceData")(index=partition, records=records)
    return [kind("ProduceRequest", "TopicProduceData")(name=topic, partition_data=[data])]


def send(client: RawClient, topic: str, partition: int, records: bytes, *, acks: int = 1) -> tuple[str, int, int]:
    return client.send("Produce", 9, acks=acks, timeout_ms=30_000, topic_data=request_of(topic, partition, records))


def answer_to(client: RawClient, sent: tuple[str, int, int]) -> tuple[str, int, int, int]:
    (topic,) = client.receive(*sent).responses
    (entry,) = topic.partition_responses
    return topic.name, entry.index, entry.error_code, entry.base_offset


@pytest.mark.usefixtures("topics")
@pytest.mark.parametrize("seed", range(10))
def test_any_mixture_is_answered_in_order(client: RawClient, log: EventLog, seed: int) -> None:
    """Valid batches and others, of several topics and partitions, with and without answers."""
    chance = random.Random(seed)
    values: dict[tuple[str, int], list[bytes]] = {}
    expected = []
    for _ in range(5):
        with client.together():
            for number in range(40):
                topic, partition = chance.choice(TOPICS), chance.randrange(PARTITIONS)
                exists = topic != "events" or partition == 0
                new = [b"%d %d" % (seed, number)] * chance.randint(1, 3)
                acks, is_sound = chance.choice([0, 1, 1, -1]), chance.random() < 0.8
                acks = acks if exists and is_sound else 1
                sound = batch(new, attributes=chance.choice([0, 0, 0, GZIP]))
                sent = send(client, topic, partition, sound if is_sound else with_wrong_checksum(sound), acks=acks)
                log_values = values.setdefault((topic, partition), [])
                refusal = errors.CORRUPT_MESSAGE if exists else errors.UNKNOWN_TOPIC_OR_PARTITION
                code = errors.NONE if exists and is_sound else refusal
                if acks:
                    expected.append((sent, (topic, partition, code, len(log_values) if code == errors.NONE else -1)))
                log_values += new if code == errors.NONE else []
        for sent, answer in expected:
            assert answer_to(client, sent) == answer
        expected.clear()
    for (topic, partition), wanted in values.items():
        if wanted:
            assert list(log.partition(topic, partition).values()) == wanted


def test_a_batch_that_was_sent_twice_is_appended_once(client: RawClient, partition: Partition) -> None:
    def sent(sequence: int) -> tuple[str, int, int]:
        return send(client, "events", 0, batch([b"%d" % sequence], producer=(4000, 0, sequence)), acks=-1)

    for _ in range(2):
        with client.together():
            requests = [sent(sequence) for sequence in (0, 1, 1, 2, 0)]
        assert [answer_to(client, each)[2:] for each in requests] == [(0, 0), (0, 1), (0, 1), (0, 2), (0, 0)]
    with client.together():
        requests = [sent(sequence) for sequence in (3, 9, 4)]
    codes = [answer_to(client, each)[2] for each in requests]
    assert codes == [errors.NONE, errors.OUT_OF_ORDER_SEQUENCE_NUMBER, errors.NONE]
    assert list(partition.values()) == [b"0", b"1", b"2", b"3", b"4"]


def test_they_wake_a_fetch_that_waits(server: RunningServer, client: RawClient, partition: Partition) -> None:
    client.produce("events", batch([b"0"]))
    with RawClient(server.address) as reader:
        waiting = reader.send_fetch("events", 1, max_wait_ms=20_000)
        with client.together():
            requests = [send(client, "events", 0, batch([b"%d" % number])) for number in range(3)]
        assert len(reader.receive(*waiting).responses[0].partitions[0].records) > 0
        assert [answer_to(client, each)[3] for each in requests] == [1, 2, 3]


def test_changed_settings_hold_for_the_next_request(client: RawClient, log: EventLog, partition: Partition) -> None:
    def together() -> list[tuple[str, int, int, int]]:
        with client.together():
            requests = [send(client, "events", 0, batch([b"x"])) for _ in range(3)]
        return [answer_to(client, each) for each in requests]

    assert [each[2] for each in together()] == [errors.NONE] * 3
    log.alter_topic("events", config={"message.timestamp.type": "LogAppendTime"})
    assert [each[2] for each in together()] == [errors.NONE] * 3
    assert all((record.timestamp or 0) > TIMESTAMP for record in partition.read(3))
    log.alter_topic("events", config={"cleanup.policy": "compact"})
    assert [each[2] for each in together()] == [errors.INVALID_RECORD] * 3
    log.delete_topic("events")
    log.create_topic("events")
    assert [each[2:] for each in together()] == [(errors.NONE, 0), (errors.NONE, 1), (errors.NONE, 2)]


def test_from_version_13_on_topics_have_their_ids(client: RawClient, partition: Partition) -> None:
    topic_id = client.metadata("events", version=12).topics[0].topic_id
    with client.together():
        requests = []
        for _ in range(3):
            topics = request_of("", 0, batch([b"x"]))
            topics[0].topic_id = topic_id
            requests.append(client.send("Produce", 13, acks=-1, timeout_ms=1000, topic_data=topics))
    answers = [client.receive(*each).responses[0] for each in requests]
    assert [(each.topic_id, each.partition_responses[0].base_offset) for each in answers] == [(topic_id, n) for n in range(3)]


def test_they_are_counted_as_requests(log: EventLog, client: RawClient, server: RunningServer) -> None:
    with client.together():
        requests = [send(client, "events", 0, batch([b"x"])) for _ in range(50)]
    for each in requests:
        answer_to(client, each)

    async def write_counters() -> None:
        server.server.write_counters()

    server.run(write_counters())
    (counted,) = log.activity().servers
    assert [(each.name, each.requests) for each in counted.apis] == [("Produce", 50)]
    latencies = log.metrics()["eventlog_server_request_seconds_bucket"].samples
    assert latencies[-1].value == 50


def test_with_fsync_always_they_wait_for_the_disk(store: Path) -> None:
    with eventlog.open(store, fsync="always") as log, running_server(log) as server, RawClient(server.address) as client:
        with client.together():
            requests = [send(client, "events", 0, batch([b"x"])) for _ in range(5)]
        assert [answer_to(client, each)[3] for each in requests] == list(range(5))
        assert log.partition("events", 0).log.durable_offset == 5
