"""What tools ask about replicas, leaders, log directories and the quorum: the truth of a partition with one replica."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import eventlog
from eventlog import EventLog, Partition
from eventlog.serve import errors
from eventlog.serve.protocol.messages import kind
from tests.serve.client import RawClient
from tests.serve.conftest import RunningServer, running_server


@pytest.mark.parametrize("version", range(3))
def test_no_partition_needs_another_leader(client: RawClient, version: int) -> None:
    entry = kind("ElectLeadersRequest", "TopicPartitions")
    topics = [entry(topic="events", partitions=[0, 1]), entry(topic="missing", partitions=[0])]
    answer = client.ask("ElectLeaders", version, election_type=0, topic_partitions=topics)
    found = [(each.topic, [part.error_code for part in each.partition_result]) for each in answer.replica_election_results]
    unknown = errors.UNKNOWN_TOPIC_OR_PARTITION
    assert found == [("events", [errors.ELECTION_NOT_NEEDED, unknown]), ("missing", [unknown])]
    assert list(client.ask("ElectLeaders", version, topic_partitions=None).replica_election_results) == []


def test_there_are_two_kinds_of_elections(client: RawClient) -> None:
    assert client.ask("ElectLeaders", 2, election_type=1).error_code == errors.NONE
    assert client.ask("ElectLeaders", 2, election_type=2).error_code == errors.INVALID_REQUEST


@pytest.mark.parametrize(
    ("topic", "number", "replicas", "code"),
    [
        ("events", 0, [1], errors.NONE),
        ("events", 0, [2], errors.INVALID_REPLICA_ASSIGNMENT),
        ("events", 0, [1, 2], errors.INVALID_REPLICA_ASSIGNMENT),
        ("events", 0, [1, 1], errors.INVALID_REPLICA_ASSIGNMENT),
        ("events", 0, [], errors.INVALID_REPLICA_ASSIGNMENT),
        ("events", 0, None, errors.NO_REASSIGNMENT_IN_PROGRESS),
        ("events", 1, [1], errors.UNKNOWN_TOPIC_OR_PARTITION),
        ("events", -1, [1], errors.UNKNOWN_TOPIC_OR_PARTITION),
        ("missing", 0, [1], errors.UNKNOWN_TOPIC_OR_PARTITION),
    ],
)
def test_a_partition_stays_where_it_is(
    client: RawClient, topic: str, number: int, replicas: list[int] | None, code: int
) -> None:
    name = "AlterPartitionReassignmentsRequest"
    wanted = kind(name, "ReassignablePartition")(partition_index=number, replicas=replicas)
    topics = [kind(name, "ReassignableTopic")(name=topic, partitions=[wanted])]
    for version in (0, 1):
        answer = client.ask("AlterPartitionReassignments", version, topics=topics)
        assert (answer.error_code, answer.responses[0].partitions[0].error_code) == (errors.NONE, code)
        assert list(client.ask("ListPartitionReassignments", 0, topics=None).topics) == []


@pytest.mark.parametrize("version", range(1, 5))
def test_the_directory_of_the_partitions_has_a_size(
    client: RawClient, log: EventLog, partition: Partition, version: int
) -> None:
    log.create_topic("orders", 3)
    partition.append(b"x" * 1000)
    answer = client.ask("DescribeLogDirs", version, topics=None)
    found = answer.results[0]
    assert (answer.error_code, found.error_code, found.log_dir) == (errors.NONE, errors.NONE, str(log.path / "logs"))
    sizes = {topic.name: [each.partition_size for each in topic.partitions] for topic in found.topics}
    assert sizes == {"events": [log.sizes("events")[0].size_bytes], "orders": [0, 0, 0]}
    assert sizes["events"][0] > 1000
    if version >= 4:
        assert found.total_bytes > found.usable_bytes > 0


def test_only_partitions_that_exist_and_are_asked_for_have_a_size(client: RawClient, log: EventLog) -> None:
    log.create_topic("orders", 3)
    entry = kind("DescribeLogDirsRequest", "DescribableLogDirTopic")
    topics = [entry(topic="orders", partitions=[2, 0, 3, -1]), entry(topic="events", partitions=[1])]
    found = client.ask("DescribeLogDirs", 4, topics=[*topics, entry(topic="../x", partitions=[0])]).results[0]
    assert [(topic.name, [each.partition_index for each in topic.partitions]) for topic in found.topics] == [("orders", [0, 2])]


@pytest.mark.parametrize("version", range(1, 3))
def test_a_partition_stays_in_its_directory(client: RawClient, log: EventLog, store: Path, version: int) -> None:
    def moved(path: str, topic: str, number: int) -> int:
        name = "AlterReplicaLogDirsRequest"
        wanted = kind(name, "AlterReplicaLogDirTopic")(name=topic, partitions=[number])
        directory = kind(name, "AlterReplicaLogDir")(path=path, topics=[wanted])
        answer = client.ask("AlterReplicaLogDirs", version, dirs=[directory])
        return int(answer.results[0].partitions[0].error_code)

    here = str(store / "logs")
    assert moved(here, "events", 0) == errors.NONE
    assert moved(here, "events", 1) == errors.UNKNOWN_TOPIC_OR_PARTITION
    assert moved("/tmp", "events", 0) == errors.LOG_DIR_NOT_FOUND


@pytest.mark.parametrize("version", range(3))
def test_the_server_leads_the_quorum_that_decides_about_topics(client: RawClient, log: EventLog, version: int) -> None:
    def quorum(topic: str, number: int) -> Any:
        wanted = kind("DescribeQuorumRequest", "PartitionData")(partition_index=number)
        topics = [kind("DescribeQuorumRequest", "TopicData")(topic_name=topic, partitions=[wanted])]
        return client.ask("DescribeQuorum", version, topics=topics)

    answer = quorum("__cluster_metadata", 0)
    found = answer.topics[0].partitions[0]
    assert (found.error_code, found.leader_id, [each.replica_id for each in found.current_voters]) == (errors.NONE, 1, [1])
    assert (found.high_watermark > 0, list(found.observers)) == (True, [])
    before = found.high_watermark
    log.create_topic("orders")
    assert quorum("__cluster_metadata", 0).topics[0].partitions[0].high_watermark > before
    if version == 2:
        assert [each.node_id for each in answer.nodes] == [1]
    for topic, number in (("events", 0), ("__cluster_metadata", 1)):
        assert quorum(topic, number).topics[0].partitions[0].error_code == errors.UNKNOWN_TOPIC_OR_PARTITION


@pytest.mark.parametrize("version", range(1, 4))
def test_there_are_no_access_control_lists(client: RawClient, version: int) -> None:
    creation = kind("CreateAclsRequest", "AclCreation")(
        resource_type=2, resource_name="events", principal="User:a", host="*", operation=3, permission_type=3
    )
    wanted = kind("DeleteAclsRequest", "DeleteAclsFilter")(resource_type_filter=2, operation=3, permission_type=3)
    answers = [
        client.ask("DescribeAcls", version, resource_type_filter=1, operation=1, permission_type=1),
        *client.ask("CreateAcls", version, creations=[creation, creation]).results,
        *client.ask("DeleteAcls", version, filters=[wanted]).filter_results,
    ]
    assert [each.error_code for each in answers] == [errors.SECURITY_DISABLED] * 4
    assert all(each.error_message for each in answers)


@pytest.mark.parametrize("version", range(2))
def test_there_are_no_quotas(client: RawClient, version: int) -> None:
    component = kind("DescribeClientQuotasRequest", "ComponentData")(entity_type="user", match_type=2, match=None)
    answer = client.ask("DescribeClientQuotas", version, components=[component])
    assert (answer.error_code, answer.entries) == (errors.NONE, [])


def test_several_servers_are_several_brokers(server: RunningServer, client: RawClient, log: EventLog, store: Path) -> None:
    log.create_topic("orders", 5)
    log.partition("orders", 3).append(b"x" * 1000)
    with eventlog.open(store) as another, running_server(another) as other, RawClient(other.address) as other_client:
        both = (client, other_client)
        assert [[each.broker_id for each in each.ask("DescribeCluster", 2).brokers] for each in both] == [[1, 2]] * 2
        told = [each.ask("DescribeLogDirs", 4, topics=None).results[0].topics for each in both]
        partitions = [(topic.name, each.partition_index) for topics in told for topic in topics for each in topic.partitions]
        assert sorted(partitions) == [("events", 0), *(("orders", number) for number in range(5))]
        leaders = {each.partition_index: each.leader_id for each in client.metadata("orders").topics[0].partitions}
        found = other_client.metadata("orders").topics[0].partitions
        assert {each.partition_index: each.leader_id for each in found} == leaders
        assert set(leaders.values()) == {1, 2}
        found = client.ask("DescribeTopicPartitions", 0).topics[1].partitions
        assert {each.partition_index: each.leader_id for each in found} == leaders
        name = "AlterPartitionReassignmentsRequest"
        moves = [kind(name, "ReassignablePartition")(partition_index=0, replicas=[number]) for number in (1, 2)]
        topics = [kind(name, "ReassignableTopic")(name="orders", partitions=moves)]
        moved = client.ask("AlterPartitionReassignments", 1, topics=topics).responses[0].partitions
        codes = [each.error_code for each in moved]
        assert codes[leaders[0] - 1] == errors.NONE
        assert codes[2 - leaders[0]] == errors.INVALID_REPLICA_ASSIGNMENT
