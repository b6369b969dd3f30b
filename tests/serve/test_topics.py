"""CreateTopics and DeleteTopics."""

from __future__ import annotations

from typing import Any

import pytest

from eventlog import EventLog
from eventlog.serve import errors
from eventlog.serve.broker import Settings
from eventlog.serve.protocol.messages import kind
from tests.serve.client import RawClient
from tests.serve.conftest import RunningServer, running_server


def create(client: RawClient, *names: str, version: int = 7, validate_only: bool = False, **fields: Any) -> list[Any]:
    entry = kind("CreateTopicsRequest", "CreatableTopic")
    fields = {"num_partitions": 3, "replication_factor": 1, **fields}
    topics = [entry(name=name, **fields) for name in names]
    answer = client.ask("CreateTopics", version, topics=topics, timeout_ms=1000, validate_only=validate_only)
    return list(answer.topics)


@pytest.mark.parametrize("version", range(2, 8))
def test_a_topic_is_made_with_its_settings(client: RawClient, log: EventLog, version: int) -> None:
    config = kind("CreateTopicsRequest", "CreatableTopicConfig")
    answer = create(client, "orders", version=version, configs=[config(name="retention.ms", value="1000")])[0]
    assert (answer.name, answer.error_code) == ("orders", errors.NONE)
    assert (log.topic("orders").partitions, log.topic("orders").config) == (3, {"retention.ms": 1000})
    if version >= 7:
        assert answer.topic_id == client.metadata("orders", version=12).topics[0].topic_id


def test_what_is_only_tried_makes_no_topic(client: RawClient, log: EventLog) -> None:
    answer = create(client, "orders", validate_only=True)[0]
    assert (answer.error_code, answer.num_partitions) == (errors.NONE, 3)
    assert log.topics() == ["events"]


def test_the_server_chooses_what_the_client_leaves_to_it(client: RawClient, log: EventLog) -> None:
    assert create(client, "orders", num_partitions=-1, replication_factor=-1)[0].num_partitions == 1
    assert log.topic("orders").partitions == 1


@pytest.mark.parametrize(
    ("name", "fields", "code"),
    [
        ("events", {}, errors.TOPIC_ALREADY_EXISTS),
        ("a/b", {}, errors.INVALID_TOPIC_EXCEPTION),
        ("orders", {"num_partitions": 0}, errors.INVALID_PARTITIONS),
        ("orders", {"num_partitions": 100_001}, errors.INVALID_PARTITIONS),
        ("orders", {"replication_factor": 3}, errors.INVALID_REPLICATION_FACTOR),
        ("orders", {"replication_factor": 0}, errors.INVALID_REPLICATION_FACTOR),
        ("orders", {"replication_factor": -2}, errors.INVALID_REPLICATION_FACTOR),
    ],
)
def test_what_cannot_be_made_is_told(
    client: RawClient, log: EventLog, name: str, fields: dict[str, int], code: int
) -> None:
    for validate_only in (True, False):
        answer = create(client, name, validate_only=validate_only, **fields)[0]
        assert answer.error_code == code
        assert answer.error_message
    assert log.topics() == ["events"]


def assign(client: RawClient, replicas: dict[int, list[int]], **fields: int) -> Any:
    """Create the topic "orders" with assigned replicas."""
    entry = kind("CreateTopicsRequest", "CreatableReplicaAssignment")
    assignments = [entry(partition_index=number, broker_ids=brokers) for number, brokers in replicas.items()]
    fields = {"num_partitions": -1, "replication_factor": -1, **fields}
    return create(client, "orders", assignments=assignments, **fields)[0]


def test_partitions_can_be_assigned_to_the_broker_there_is(client: RawClient, log: EventLog) -> None:
    assert assign(client, {1: [1], 0: [1]}).num_partitions == 2
    assert log.topic("orders").partitions == 2


def test_more_replicas_are_taken_by_a_server_that_is_told_to(log: EventLog) -> None:
    with running_server(log, Settings(accept_replication=True)) as server, RawClient(server.address) as client:
        assert create(client, "orders", replication_factor=3)[0].error_code == errors.NONE
        assert create(client, "others", replication_factor=0)[0].error_code == errors.INVALID_REPLICATION_FACTOR
    assert log.topics() == ["events", "orders"]


def test_settings_and_assignments_that_there_are_not_are_told(client: RawClient, log: EventLog) -> None:
    config = kind("CreateTopicsRequest", "CreatableTopicConfig")(name="no.such.setting", value="1")
    assert create(client, "orders", configs=[config])[0].error_code == errors.INVALID_CONFIG
    for replicas in ([2], [1, 2], [1, 1], []):
        assert assign(client, {0: replicas}).error_code == errors.INVALID_REPLICA_ASSIGNMENT
    assert assign(client, {1: [1]}).error_code == errors.INVALID_REPLICA_ASSIGNMENT
    assert assign(client, {0: [1]}, num_partitions=1).error_code == errors.INVALID_REQUEST
    assert [each.error_code for each in create(client, "twice", "twice")] == [errors.INVALID_REQUEST] * 2
    assert log.topics() == ["events"]


@pytest.mark.parametrize("version", range(1, 7))
def test_topics_are_deleted_by_name(client: RawClient, log: EventLog, version: int) -> None:
    entry = kind("DeleteTopicsRequest", "DeleteTopicState")
    names = ["events", "missing"]
    wanted = {"topics": [entry(name=name) for name in names]} if version >= 6 else {"topic_names": names}
    answer = client.ask("DeleteTopics", version, timeout_ms=1000, **wanted)
    unknown = errors.UNKNOWN_TOPIC_OR_PARTITION
    assert [(each.name, each.error_code) for each in answer.responses] == [("events", errors.NONE), ("missing", unknown)]
    assert log.topics() == []


def test_topics_are_deleted_by_id(client: RawClient, log: EventLog) -> None:
    topic_id = client.metadata("events", version=12).topics[0].topic_id
    entry = kind("DeleteTopicsRequest", "DeleteTopicState")
    wanted = [entry(name=None, topic_id=topic_id), entry(name=None, topic_id=b"x" * 16)]
    answer = client.ask("DeleteTopics", 6, timeout_ms=1000, topics=wanted)
    assert [(each.name, each.error_code) for each in answer.responses] == [
        ("events", errors.NONE),
        (None, errors.UNKNOWN_TOPIC_ID),
    ]
    assert log.topics() == []


def test_very_many_topics_are_refused_while_other_clients_are_served(server: RunningServer) -> None:
    topic = kind("CreateTopicsRequest", "CreatableTopic")
    topics = [topic(name=f"?{number}", num_partitions=1, replication_factor=1) for number in range(49_000)]
    with RawClient(server.address) as hostile, RawClient(server.address) as client:
        sent = hostile.send("CreateTopics", 7, topics=topics)
        assert client.metadata().error_code == 0
        assert {each.error_code for each in hostile.receive(*sent).topics} == {errors.INVALID_TOPIC_EXCEPTION}
