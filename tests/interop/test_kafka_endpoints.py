"""Kafka as the target and as the source of a bridge: on `eventlog serve`, and on Apache Kafka itself."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

import eventlog
from eventlog import EventLog, TopicPartition
from eventlog.bridges.endpoints import Outcomes
from eventlog.bridges.message import Message, record_headers
from eventlog.errors import BridgeError, ConnectionLostError, InvalidArgumentError
from tests.interop import apache_kafka
from tests.interop.kafka_clusters import KafkaCluster, receive, send, ship, sink_to, source_of

pytestmark = pytest.mark.clients
pytest.importorskip("confluent_kafka")

ORDERS = [TopicPartition("orders", 0), TopicPartition("orders", 1)]


@pytest.fixture
def log(tmp_path: Path) -> Iterator[EventLog]:
    with eventlog.open(tmp_path / "store") as log:
        log.create_topic("orders", 2)
        yield log


@pytest.fixture
def topic(cluster: KafkaCluster) -> str:
    """A topic of two partitions that no other test uses."""
    name = f"topic-{random.getrandbits(64):x}"
    cluster.create_topic(name, 2, max_message_bytes="10000")
    return name


def fill(log: EventLog, count: int) -> None:
    for partition in ORDERS:
        log.partition(*partition).append_many([b"%d" % number for number in range(count)])


def test_a_record_arrives_as_it_is(cluster: KafkaCluster, topic: str, log: EventLog) -> None:
    partition = log.partition("orders", 1)
    headers = (("a", b"1"), ("a", None), ("ü", b""), ("b", b"\0\xff"))
    partition.append(b"value", b"key", headers, 1)
    partition.append(None, b"", (), 2)
    partition.append(b"", None, (), 0)
    sink = sink_to(cluster.url(topic))
    sink.open()
    assert ship(sink, log, ORDERS) == []
    sink.close()
    found = [(each.key(), each.value(), each.headers(), each.timestamp()[1]) for each in cluster.messages(topic, 1)]
    # A timestamp of 0 would mean "now" to the client.
    assert found == [(b"key", b"value", list(headers), 1), (b"", None, None, 2), (None, b"", None, 1)]
    source = source_of(cluster.url(topic), log)
    source.open()
    messages = receive(source)
    source.close()
    assert [(each.key, each.value, each.headers, each.timestamp) for each in messages] == [
        (b"key", b"value", headers, 1), (b"", None, (), 2), (None, b"", (), 1)
    ]  # fmt: skip
    assert [each.partition for each in messages] == [1, 1, 1]


def test_a_key_has_the_partition_that_javas_clients_give_it(cluster: KafkaCluster, topic: str, log: EventLog) -> None:
    expected: dict[int, list[bytes]] = {0: [], 1: []}
    with log.producer() as producer:  # which is tested against Java's
        for number in range(20):
            key = b"key-%d" % number
            expected[producer.send("orders", b"", key).partition].append(key)
    log.create_topic("single")
    log.partition("single", 0).append_many([b""] * 20, keys=[b"key-%d" % number for number in range(20)])
    sink = sink_to(cluster.url(topic, "partitioner=murmur2_random"), "single")
    sink.open()
    ship(sink, log, [TopicPartition("single", 0)])
    sink.close()
    assert {number: [each.key() for each in cluster.messages(topic, number)] for number in (0, 1)} == expected


def test_the_next_bridge_goes_on_where_kafka_is_and_not_where_the_group_is(
    cluster: KafkaCluster, topic: str, log: EventLog
) -> None:
    fill(log, 100)
    first = sink_to(cluster.url(topic))
    first.open()
    ship(first, log, ORDERS)
    fill(log, 1)
    second = sink_to(cluster.url(topic))
    second.open()
    assert second.assign(dict.fromkeys(ORDERS, 0)) == dict.fromkeys(ORDERS, 100)
    assert ship(second, log, ORDERS) == []
    assert [len(cluster.values(topic, number)) for number in (0, 1)] == [101, 101]
    first.close()
    second.close()


def test_what_a_bridge_still_sends_after_another_took_over_has_no_effect(
    cluster: KafkaCluster, topic: str, log: EventLog
) -> None:
    fill(log, 100)
    records = log.partition("orders", 0).read(0)
    zombie, successor = (sink_to(cluster.url(topic)) for _ in range(2))
    zombie.open()
    zombie.assign(dict.fromkeys(ORDERS, 0))
    zombie.send(records[:50])
    assert len(zombie.outcomes(1).confirmed) == 50
    zombie.send(records[50:])  # in a transaction that stays open
    successor.open()
    assert successor.assign({ORDERS[0]: 0}) == {ORDERS[0]: 50}
    assert zombie.outcomes(1) == Outcomes([], [], [ORDERS[0]])
    send(successor, records[50:])
    zombie.send(records)  # forgotten: the partition is not its own
    assert zombie.outcomes(0.1) == Outcomes([], [], [])
    assert cluster.values(topic) == [record.value for record in records]
    zombie.close()
    successor.close()


def test_only_the_records_that_are_too_large_are_refused(cluster: KafkaCluster, topic: str, log: EventLog) -> None:
    values = [b"small-%d" % number for number in range(300)]
    values[100] = b"x" * 9_980  # too large once it is in a batch, so only the broker says so
    values[200] = b"x" * 20_000
    log.partition("orders", 0).append_many(values)
    sink = sink_to(cluster.url(topic))
    sink.open()
    refused = ship(sink, log, [ORDERS[0]])
    assert [each.record.offset for each in refused] == [100, 200]
    assert all("size" in each.reason.lower() for each in refused)
    assert cluster.values(topic) == [value for value in values if len(value) < 100]
    sink.close()


def test_what_follows_a_refused_record_is_sent_once_that_is_taken_care_of(
    cluster: KafkaCluster, topic: str, log: EventLog
) -> None:
    log.partition("orders", 0).append_many([b"before", b"x" * 20_000, b"after"])
    sink = sink_to(cluster.url(topic))
    sink.open()
    sink.assign({ORDERS[0]: 0})
    sink.send(log.partition("orders", 0).read(0))
    outcomes = sink.outcomes(1)
    assert ([each.offset for each in outcomes.confirmed], [each.record.offset for each in outcomes.refused]) == ([0], [1])
    successor = sink_to(cluster.url(topic))
    successor.open()
    assert successor.assign({ORDERS[0]: 0}) == {ORDERS[0]: 1}
    assert cluster.values(topic) == [b"before"]
    sink.close()
    successor.close()


def test_a_topic_with_fewer_partitions_takes_records_by_their_keys_only(
    cluster: KafkaCluster, topic: str, log: EventLog
) -> None:
    log.create_topic("wide", 5)
    partitions = [TopicPartition("wide", number) for number in range(5)]
    for each in partitions:
        log.partition(*each).append(b"%d" % each.partition)
    sink = sink_to(cluster.url(topic), "wide")
    sink.open()
    with pytest.raises(BridgeError, match="2 partitions"):
        sink.assign(dict.fromkeys(partitions, 0))
    sink.close()
    by_key = sink_to(cluster.url(topic, "partitioner=murmur2_random"), "wide")
    by_key.open()
    ship(by_key, log, partitions)
    assert by_key.assign(dict.fromkeys(partitions, 0)) == dict.fromkeys(partitions, 1)
    by_key.close()
    assert sorted([*cluster.values(topic, 0), *cluster.values(topic, 1)]) == [b"%d" % number for number in range(5)]  # type: ignore[type-var]


def test_collecting_goes_on_behind_what_the_topic_has(cluster: KafkaCluster, topic: str, log: EventLog) -> None:
    cluster.produce(topic, [b"%d" % number for number in range(10)])
    cluster.produce(topic, [b"transactional"], transactional_id=f"of-{topic}")  # its marker leaves a gap in the offsets
    cluster.produce(topic, [b"last"])
    for _ in range(3):
        source = source_of(cluster.url(topic), log)
        source.open()
        messages = source.receive(30, 5)
        log.partition("orders", 0).append_many(
            [each.value for each in messages], headers=[record_headers(each) for each in messages]
        )
        source.acknowledge(messages)
        source.close()
    expected = [*(b"%d" % number for number in range(10)), b"transactional", b"last"]
    assert list(log.partition("orders", 0).values()) == expected


def test_a_source_that_was_at_the_end_has_not_reached_what_came_since(
    cluster: KafkaCluster, topic: str, log: EventLog
) -> None:
    from eventlog.bridges.kafka.source import KafkaSource

    source = source_of(cluster.url(topic), log)
    assert isinstance(source, KafkaSource)
    source.open()
    for value in (b"first", b"second"):
        cluster.produce(topic, [value])
        assert not source.has_reached(source.ends())
        assert [each.value for each in receive(source)] == [value]
        assert source.has_reached(source.ends())
    source.close()


def test_partitions_that_are_added_while_a_topic_is_collected_are_collected_by_the_same_connection(
    cluster: KafkaCluster, topic: str, log: EventLog
) -> None:
    from confluent_kafka.admin import AdminClient, NewPartitions

    log.create_topic("grown", 4)
    with log.collect("grown", cluster.url(topic, "topic.metadata.refresh.interval.ms=100")) as bridge:
        cluster.produce(topic, [b"before"], 1)
        assert log.partition("grown", 1).wait(0, 30)
        admin = AdminClient({"bootstrap.servers": cluster.bootstrap})
        admin.create_partitions([NewPartitions(topic, 4)])[topic].result(30)
        for number in range(4):
            cluster.produce(topic, [b"after"], number)
        assert all(log.partition("grown", number).wait(int(number == 1), 30) for number in range(4))
        assert bridge.progress().reconnects == 0
    assert [list(log.partition("grown", number).values()) for number in range(4)] == [
        [b"after"], [b"before", b"after"], [b"after"], [b"after"],
    ]  # fmt: skip


def test_a_source_sees_partitions_that_are_added(cluster: KafkaCluster, topic: str, log: EventLog) -> None:
    from confluent_kafka.admin import AdminClient, NewPartitions

    source = source_of(cluster.url(topic, "topic.metadata.refresh.interval.ms=100"), log)
    source.open()
    assert source.receive(0.1, 500) == []
    admin = AdminClient({"bootstrap.servers": cluster.bootstrap})
    admin.create_partitions([NewPartitions(topic, 3)])[topic].result(30)
    cluster.produce(topic, [b"new"], 2)
    log.alter_topic("orders", partitions=3)
    messages: list[Message] = []
    while not messages:
        messages += source.receive(0.2, 500)
    assert [(each.value, each.partition) for each in messages] == [(b"new", 2)]
    source.close()


def test_a_source_with_a_group_begins_there_and_commits(cluster: KafkaCluster, topic: str, log: EventLog) -> None:
    from confluent_kafka import Consumer
    from confluent_kafka import TopicPartition as KafkaPartition

    cluster.produce(topic, [b"%d" % number for number in range(10)])
    group = f"group-of-{topic}"
    consumer = Consumer({"bootstrap.servers": cluster.bootstrap, "group.id": group})
    consumer.commit(offsets=[KafkaPartition(topic, 0, 4)], asynchronous=False)
    source = source_of(cluster.url(topic, f"group.id={group}"), log)
    source.open()
    messages = receive(source)
    assert [each.value for each in messages] == [b"%d" % number for number in range(4, 10)]
    while source.depth() is None:  # nothing was heard of a partition that has no messages
        assert list(source.receive(0.1, 500)) == []
    assert source.depth() == 0
    source.acknowledge(messages)
    source.close()
    assert consumer.committed([KafkaPartition(topic, 0)], 30)[0].offset == 10
    consumer.close()


def test_a_topic_that_is_deleted_and_created_again_is_not_taken_for_the_former_one(
    cluster: KafkaCluster, topic: str, log: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("eventlog.bridges.kafka.source._CHECK_SECONDS", 0.0)
    source = source_of(cluster.url(topic), log)
    source.open()
    cluster.produce(topic, [b"former"] * 3)
    assert len(receive(source)) == 3
    cluster.replace_topic(topic, 2)
    cluster.produce(topic, [b"new"] * 5)
    with pytest.raises((ConnectionLostError, BridgeError)):  # or that there is none, if it was noticed in between
        while True:
            assert list(source.receive(0.2, 500)) == []
    source.close()
    source.open()
    assert [each.value for each in receive(source)] == [b"new"] * 5
    source.close()


def test_a_source_that_lost_what_was_collected_is_an_error(cluster: KafkaCluster, topic: str, log: EventLog) -> None:
    source = source_of(cluster.url(topic), log)
    source.open()
    cluster.produce(topic, [b"only"])
    [message] = receive(source)
    assert message.position is not None
    beyond = message._replace(position=message.position._replace(offset=1000))
    log.partition("orders", 0).append(b"", headers=record_headers(beyond))
    source.close()
    with pytest.raises(BridgeError, match="lost records"):
        source.open()
    source.close()


def test_a_topic_that_does_not_exist_is_created_only_if_asked(cluster: KafkaCluster, log: EventLog) -> None:
    name = f"new-{random.getrandbits(64):x}"
    with pytest.raises(BridgeError, match="create it first"):
        sink_to(cluster.url(name)).open()
    with pytest.raises(BridgeError, match="create it first"):
        source_of(cluster.url(name), log).open()
    sink = sink_to(cluster.url(name), create="")
    sink.open()
    sink.close()
    assert cluster.values(name) == []


@pytest.mark.parametrize(
    "options", ["transactional.id=mine", "acks.all=1", "message.max.bytes=large", "enable.idempotence=false"]
)
def test_settings_that_cannot_be_are_refused_before_anything_is_connected(log: EventLog, options: str) -> None:
    for make in (lambda url: sink_to(url), lambda url: source_of(url, log)):
        with pytest.raises(InvalidArgumentError, match=options.split("=")[0]):
            make(f"kafka://127.0.0.1:1/orders?{options}")


def test_a_cluster_that_does_not_answer_is_a_temporary_failure(log: EventLog) -> None:
    _, closed = apache_kafka.free_ports()
    with pytest.raises(ConnectionLostError, match=str(closed)):
        sink_to(f"kafka://127.0.0.1:{closed}/orders").open()


def test_no_error_shows_the_password(log: EventLog) -> None:
    url = "kafka://me:hunter2@127.0.0.1:1/orders?sasl.mechanism=hunter2"
    with pytest.raises(InvalidArgumentError) as caught:
        sink_to(url)
    assert "hunter2" not in str(caught.value).replace("sasl.mechanism=hunter2", "")
