"""`eventlog mirror`: a store moves to a Kafka cluster with its groups, and back."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

import eventlog
from eventlog import BridgeError, EventLog, InvalidArgumentError, TopicPartition
from eventlog.bridges.kafka.mirror.differences import Difference
from tests.cli.command_line import CommandLine
from tests.interop.kafka_clusters import SECONDS_MAX, KafkaCluster

pytestmark = pytest.mark.clients
pytest.importorskip("confluent_kafka")

VALUES = [b"%d" % number for number in range(1_000)]


@pytest.fixture
def log(tmp_path: Path) -> Iterator[EventLog]:
    with eventlog.open(tmp_path / "store") as log:
        yield log


@pytest.fixture
def topic() -> str:
    """A name that no other test uses: they share a cluster."""
    return f"orders.{random.getrandbits(64):x}"


def mirror(store: Path, *arguments: str) -> list[dict[str, object]]:
    """Run `eventlog mirror` to its end; returns the differences that it showed."""
    done = CommandLine(store).run("mirror", *arguments, "--json")
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def fill(log: EventLog, topic: str) -> None:
    """Two partitions, one with transactions, so that offsets in Kafka will not be those in the store."""
    log.create_topic(topic, 2, {"max.message.bytes": 500_000, "retention.acked": True})
    log.partition(topic, 0).append_many(VALUES, keys=[b"k"] * len(VALUES))
    with log.producer(transactional_id=f"of-{topic}") as producer:
        for first in range(0, len(VALUES), 100):
            producer.begin()
            for value in VALUES[first : first + 100]:
                producer.send(topic, value, partition=1, headers=[("h", b"1")])
            producer.commit() if first % 200 == 0 else producer.abort()


def committed_values(log: EventLog, partition: TopicPartition, offset: int | None = None) -> list[bytes | None]:
    found: list[bytes | None] = []
    with log.consumer() as consumer:
        consumer.assign([partition])
        if offset is not None:
            consumer.seek(partition, offset)
        while records := consumer.poll(timeout=0):
            found += [record.value for record in records]
    return found


def values_from(cluster: KafkaCluster, topic: str, partition: int, offset: int) -> list[bytes | None]:
    return [message.value() for message in cluster.messages(topic, partition) if message.offset() >= offset]


def kafka_offset(cluster: KafkaCluster, group: str, topic: str, partition: int) -> int:
    from confluent_kafka import Consumer
    from confluent_kafka import TopicPartition as KafkaPartition

    consumer = Consumer({"bootstrap.servers": cluster.bootstrap, "group.id": group})
    [found] = consumer.committed([KafkaPartition(topic, partition)], SECONDS_MAX)
    consumer.close()
    return int(found.offset)


def commit(log: EventLog, group: str, offsets: dict[TopicPartition, int]) -> None:
    log.create_group(group).reset(offsets)


def test_a_store_moves_to_kafka_and_back(
    cluster: KafkaCluster, log: EventLog, topic: str, tmp_path: Path
) -> None:
    fill(log, topic)
    plain, transactional = TopicPartition(topic, 0), TopicPartition(topic, 1)
    group = f"billing-{topic}"
    positions = {plain: 400, transactional: log.partition(*transactional).end_offset // 2}
    commit(log, group, positions)
    rest = {each: committed_values(log, each, offset) for each, offset in positions.items()}
    out = ["--to", cluster.url(), "--topics", topic, "--groups", group]

    planned = mirror(log.path, *out, "--dry-run")
    assert {each["kind"] for each in planned} == {"topic", "records"}
    assert topic not in str(mirror(log.path, "--to", cluster.url(), "--topics", "other.*", "--dry-run"))
    done = mirror(log.path, *out, "--once")
    assert {each["kind"] for each in done} == {"topic", "records", "group"}
    assert mirror(log.path, *out, "--dry-run") == []
    assert cluster.values(topic, 0) == VALUES
    assert cluster.values(topic, 1) == committed_values(log, transactional)
    for each in positions:
        assert values_from(cluster, *each, kafka_offset(cluster, group, *each)) == rest[each]

    cluster.produce(topic, [b"in Kafka"], 1)  # by a program that has moved
    returned = tmp_path / "returned"
    back = [cluster.url(), "--topics", "orders.*", "--groups", group]
    with eventlog.open(returned) as new:
        mirror(returned, *back, "--once")
        settings = new.topic(topic).settings()
        assert (settings.number("max.message.bytes"), settings.number("retention.ms")) == (500_000, -1)
        assert list(new.partition(topic, 0).values()) == VALUES
        assert [record.key for record in new.partition(topic, 0).records()] == [b"k"] * len(VALUES)
        offsets = new.group(group).committed()
        assert committed_values(new, plain, offsets[plain]) == rest[plain]
        assert committed_values(new, transactional, offsets[transactional]) == [*rest[transactional], b"in Kafka"]
    assert [each for each in mirror(returned, *back, "--dry-run") if each["topic"] == topic] == []


def test_a_mirror_goes_on_where_it_was_and_follows_changes(cluster: KafkaCluster, log: EventLog, topic: str) -> None:
    log.create_topic(topic)
    log.partition(topic, 0).append(b"0")
    out = ["--to", cluster.url(), "--topics", topic, "--once"]
    mirror(log.path, *out)
    log.alter_topic(topic, partitions=2, config={"retention.ms": 7_200_000})
    log.partition(topic, 0).append(b"1")
    log.partition(topic, 1).append(b"2")
    found = mirror(log.path, *out[:-1], "--dry-run")
    planned = {(each["kind"], each["name"] or each["partition"]): each["after"] for each in found}
    assert planned == {("setting", "retention.ms"): "7200000", ("partitions", None): 2, ("records", 0): 1, ("records", 1): 1}
    mirror(log.path, *out)
    mirror(log.path, *out)
    assert [cluster.values(topic, number) for number in (0, 1)] == [[b"0", b"1"], [b"2"]]


def test_a_topic_that_is_deleted_and_created_again_is_not_taken_for_the_former_one(
    cluster: KafkaCluster, log: EventLog, topic: str
) -> None:
    log.create_topic(topic)
    log.partition(topic, 0).append_many([b"former"] * 3)
    copied: list[object] = []

    def replace(difference: Difference) -> None:
        if difference.kind == "records":
            copied.append(difference.after)
            if len(copied) == 1:
                log.delete_topic(topic)
                log.create_topic(topic)
                log.partition(topic, 0).append_many([b"new"] * 5)

    log.mirror(topic, to=cluster.url(), every=0.0, on_difference=replace).run(until_idle=0)
    assert (copied, cluster.values(topic)) == ([3, 5], [b"former"] * 3 + [b"new"] * 5)


def test_offsets_only_move_forward_and_not_of_a_group_with_members(
    cluster: KafkaCluster, log: EventLog, topic: str
) -> None:
    cluster.create_topic(topic)
    cluster.produce(topic, VALUES[:10])
    from confluent_kafka import Consumer
    from confluent_kafka import TopicPartition as KafkaPartition

    group, busy = f"billing-{topic}", f"busy-{topic}"
    for name in (group, busy):
        consumer = Consumer({"bootstrap.servers": cluster.bootstrap, "group.id": name})
        consumer.commit(offsets=[KafkaPartition(topic, 0, 4)], asynchronous=False)
        consumer.close()
    back = [cluster.url(), "--topics", topic, "--groups", f"*-{topic}", "--once"]
    log.create_topic(topic)
    with log.consumer(topic, group=busy) as member:
        member.poll(timeout=0)
        found = mirror(log.path, *back)
        assert [each["name"] for each in found if each["kind"] == "left out"] == [busy]
    partition = TopicPartition(topic, 0)
    assert log.group(group).committed() == {partition: 4}
    commit(log, group, {partition: 8})  # the group goes on here
    mirror(log.path, *back)
    assert log.group(group).committed() == {partition: 8}
    assert log.group(busy).committed() == {partition: 4}


def test_a_mirror_in_a_thread_copies_what_is_produced_meanwhile(cluster: KafkaCluster, log: EventLog, topic: str) -> None:
    cluster.create_topic(topic)
    told: list[str] = []
    mirror = log.mirror(topic, cluster.url(), every=0.01, on_difference=lambda difference: told.append(difference.kind))
    assert [(each.kind, each.topic, each.after) for each in mirror.differences()] == [("topic", topic, 1)]
    assert topic not in log.topics()
    with mirror:
        cluster.produce(topic, VALUES[:10])
        while topic not in log.topics():
            assert mirror.is_alive
        assert log.partition(topic, 0).wait(9, SECONDS_MAX)
        cluster.produce(topic, VALUES[10:20])
        assert log.partition(topic, 0).wait(19, SECONDS_MAX)
        while mirror.progress().records < 20:
            assert mirror.is_alive
        [(labels, _)] = log.metrics()["eventlog_bridge_connected"].samples
        assert (labels["direction"], labels["topic"], labels["system"]) == ("mirror", topic, "kafka")
    progress = mirror.progress()
    assert (progress.state, progress.records, progress.bytes) == ("stopped", 20, sum(map(len, VALUES[:20])))
    assert list(log.partition(topic, 0).values()) == VALUES[:20]
    assert told[0] == "topic" and set(told[1:]) == {"records"}


def test_a_mirror_ends_once_there_was_nothing_to_do(cluster: KafkaCluster, log: EventLog, topic: str) -> None:
    log.create_topic(topic)
    log.partition(topic, 0).append_many(VALUES)
    mirror = log.mirror([topic], to=cluster.url(), every=0.01)
    mirror.run(until_idle=0)
    assert cluster.values(topic) == VALUES
    assert (mirror.progress().state, mirror.progress().records) == ("stopped", len(VALUES))
    assert mirror.differences() == []


def test_what_is_left_out_is_told_once(cluster: KafkaCluster, log: EventLog, topic: str) -> None:
    from confluent_kafka import Consumer
    from confluent_kafka import TopicPartition as KafkaPartition

    cluster.create_topic(topic)
    cluster.produce(topic, VALUES[:10])
    group = f"busy-{topic}"
    consumer = Consumer({"bootstrap.servers": cluster.bootstrap, "group.id": group})
    consumer.commit(offsets=[KafkaPartition(topic, 0, 4)], asynchronous=False)
    consumer.close()
    log.create_topic(topic)
    told: list[str] = []
    with log.consumer(topic, group=group) as member:
        member.poll(timeout=0)
        mirror = log.mirror(
            topic, cluster.url(), groups=group, every=0.0, on_difference=lambda difference: told.append(difference.kind)
        )
        mirror.run(until_idle=0)
    assert "records" in told and told.count("left out") == 1


def test_a_mirror_of_a_cluster_that_is_away_gives_up(log: EventLog) -> None:
    with pytest.raises(BridgeError, match="gave up after"):
        log.mirror("*", "kafka://127.0.0.1:1?socket.timeout.ms=1000", give_up_after=0).run()


def test_a_mirror_is_refused_what_cannot_work(log: EventLog) -> None:
    for arguments, complaint in (
        ({"topics": "*"}, "name one cluster"),
        ({"topics": "*", "url": "kafka://h:1", "to": "kafka://h:1"}, "name one cluster"),
        ({"topics": "*", "url": "amqp://h:1"}, "kafka://localhost:9092"),
        ({"topics": "*", "url": "kafka://h:1/orders"}, "names a topic"),
        ({"topics": [], "url": "kafka://h:1"}, "topics"),
        ({"topics": "*", "url": "kafka://h:1", "every": -1}, "every"),
        ({"topics": "*", "url": "kafka://h:1", "give_up_after": float("nan")}, "give_up_after"),
    ):
        with pytest.raises(InvalidArgumentError, match=complaint):
            log.mirror(**arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize("arguments", [["--topics", "x"], ["kafka://h:1", "--to", "kafka://h:1", "--topics", "x"]])
def test_one_cluster_must_be_named(tmp_path: Path, arguments: list[str]) -> None:
    done = CommandLine(tmp_path / "store").run("mirror", *arguments)
    assert (done.returncode, b"name one cluster" in done.stderr) == (2, True)
