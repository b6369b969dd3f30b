"""ApiVersions and Metadata: what a client is told before it does anything."""

from __future__ import annotations

import asyncio
import struct
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import eventlog
from eventlog import EventLog
from eventlog.serve import errors
from eventlog.serve.broker import Settings
from eventlog.serve.catalog import TopicCache
from eventlog.serve.offered import APIS
from eventlog.serve.protocol.messages import kind
from tests.serve.client import RawClient
from tests.serve.conftest import RunningServer, running_server


@pytest.mark.parametrize("version", range(5))
def test_the_table_of_apis_is_told(client: RawClient, version: int) -> None:
    answer = client.ask("ApiVersions", version, client_software_name="test", client_software_version="1.0")
    assert answer.error_code == errors.NONE
    told = {entry.api_key: (entry.min_version, entry.max_version) for entry in answer.api_keys}
    assert told == {api.key: (api.announced, api.versions[-1]) for api in APIS.values()}
    assert told[0][0] == 0  # else librdkafka compresses nothing


def test_a_version_that_is_not_known_is_answered_in_the_oldest(client: RawClient) -> None:
    client.socket.sendall(struct.pack(">ihhih", 14, 18, 99, 7, 4) + b"test")
    answer = client.receive("ApiVersions", 0, 7)
    assert answer.error_code == errors.UNSUPPORTED_VERSION
    assert [entry.api_key for entry in answer.api_keys] == [18]
    assert client.ask("ApiVersions", 0).error_code == errors.NONE


def test_a_client_that_calls_itself_what_cannot_stand_in_a_log_is_refused(client: RawClient) -> None:
    answer = client.ask("ApiVersions", 3, client_software_name="te\nst", client_software_version="1.0")
    assert answer.error_code == errors.INVALID_REQUEST


@pytest.mark.parametrize("version", range(14))
def test_all_topics_and_their_partitions_are_told(client: RawClient, log: EventLog, version: int) -> None:
    log.create_topic("orders", partitions=3)
    topics = [] if version == 0 else None
    answer = client.ask("Metadata", version, topics=topics)
    assert [(topic.name, len(topic.partitions)) for topic in answer.topics] == [("events", 1), ("orders", 3)]
    nodes = [(broker.node_id, broker.host, broker.port) for broker in answer.brokers]
    assert nodes == [(1, *client.socket.getpeername())]
    assert {partition.leader_id for topic in answer.topics for partition in topic.partitions} == {1}


def test_a_topic_made_by_another_process_is_there_at_once(client: RawClient, store: Path) -> None:
    assert [topic.name for topic in client.metadata().topics] == ["events"]
    with eventlog.open(store) as other:
        other.create_topic("orders")
        assert [topic.name for topic in client.metadata().topics] == ["events", "orders"]
        other.delete_topic("events")
        assert [topic.name for topic in client.metadata().topics] == ["orders"]


@pytest.mark.parametrize("version", [1, 4, 9, 13])
def test_a_topic_that_is_named_is_made(client: RawClient, log: EventLog, version: int) -> None:
    found = client.metadata("orders", version=version).topics[0]
    assert (found.error_code, found.name, len(found.partitions)) == (errors.NONE, "orders", 1)
    assert log.topics() == ["events", "orders"]


def test_no_topic_is_made_for_a_client_that_does_not_want_it(client: RawClient, log: EventLog) -> None:
    found = client.metadata("orders", allow_auto_topic_creation=False).topics[0]
    assert (found.error_code, found.name) == (errors.UNKNOWN_TOPIC_OR_PARTITION, "orders")
    assert log.topics() == ["events"]


def test_no_topic_is_made_by_a_server_that_does_not_want_it(log: EventLog) -> None:
    with running_server(log, Settings(auto_create_topics=False)) as server, RawClient(server.address) as client:
        assert client.metadata("orders").topics[0].error_code == errors.UNKNOWN_TOPIC_OR_PARTITION
    assert log.topics() == ["events"]


def test_topics_that_are_made_have_as_many_partitions_as_the_server_says(log: EventLog) -> None:
    with running_server(log, Settings(partitions=4)) as server, RawClient(server.address) as client:
        assert len(client.metadata("orders").topics[0].partitions) == 4


@pytest.mark.parametrize("name", ["", "a/b", ".", "x" * 250, "\x00"])
def test_a_name_that_no_topic_has_is_refused(client: RawClient, name: str) -> None:
    assert client.metadata(name).topics[0].error_code == errors.INVALID_TOPIC_EXCEPTION


def test_a_topic_has_an_id_that_a_topic_of_the_same_name_does_not_get(client: RawClient, log: EventLog) -> None:
    entry = kind("MetadataRequest", "MetadataRequestTopic")
    before = client.metadata("events", version=12).topics[0].topic_id
    assert client.metadata("events", version=12).topics[0].topic_id == before
    assert client.ask("Metadata", 12, topics=[entry(name=None, topic_id=before)]).topics[0].name == "events"
    log.delete_topic("events")
    log.create_topic("events")
    assert client.metadata("events", version=12).topics[0].topic_id != before
    gone = client.ask("Metadata", 12, topics=[entry(name=None, topic_id=before)]).topics[0]
    assert gone.error_code == errors.UNKNOWN_TOPIC_ID


def test_two_servers_of_a_store_call_topics_and_the_cluster_the_same(server: RunningServer, store: Path) -> None:
    with eventlog.open(store) as log, running_server(log) as other:
        answers = []
        for each in (server, other):
            with RawClient(each.address) as client:
                answer = client.metadata(version=12)
                answers.append((answer.cluster_id, [topic.topic_id for topic in answer.topics]))
    assert answers[0] == answers[1]


def test_a_topic_that_is_asked_for_many_times_is_told_once(client: RawClient, log: EventLog) -> None:
    log.create_topic("wide", 100)
    found = client.metadata(*["wide"] * 10_000, "events")
    assert [(topic.name, len(topic.partitions)) for topic in found.topics] == [("wide", 100), ("events", 1)]


def test_topics_that_have_changed_are_loaded_once_for_all_who_ask(log: EventLog) -> None:
    loads: list[None] = []

    async def ask() -> None:
        with ThreadPoolExecutor(4) as executor:
            cache = TopicCache(log.store, executor, lambda: loads.append(None))
            for number in range(2):
                log.create_topic(f"new-{number}")
                await asyncio.gather(*(cache.refresh() for _ in range(20)))
                assert f"new-{number}" in cache.by_name

    asyncio.run(ask())
    assert len(loads) == 2


@pytest.mark.parametrize("version", range(14))
def test_each_partition_of_a_wide_topic_is_told(client: RawClient, log: EventLog, version: int) -> None:
    log.create_topic("wide", 5000)
    found = client.metadata("wide", version=version).topics[0]
    told = [(each.partition_index, each.leader_id, list(each.replica_nodes), list(each.isr_nodes)) for each in found.partitions]
    assert told == [(number, 1, [1], [1]) for number in range(5000)]
    assert {each.error_code for each in found.partitions} == {errors.NONE}


def test_what_may_be_done_is_told_to_those_who_ask(client: RawClient) -> None:
    def told(version: int, **fields: bool) -> tuple[int, int]:
        answer = client.ask("Metadata", version, topics=None, **fields)
        return answer.topics[0].topic_authorized_operations, answer.cluster_authorized_operations

    unknown = -(2**31)
    assert told(10) == (unknown, unknown)
    topic, cluster = told(10, include_topic_authorized_operations=True, include_cluster_authorized_operations=True)
    assert [bit for bit in range(32) if topic >> bit & 1] == [3, 4, 5, 6, 7, 8, 10, 11]
    assert [bit for bit in range(32) if cluster >> bit & 1] == [5, 7, 8, 9, 10, 11, 12]


def test_partitions_are_described_a_part_at_a_time(client: RawClient, log: EventLog) -> None:
    for name, partitions in (("a", 2), ("b", 5), ("c", 1)):
        log.create_topic(name, partitions)
    entry = kind("DescribeTopicPartitionsRequest", "TopicRequest")
    cursor, found = None, []
    for _ in range(5):
        topics = [entry(name=name) for name in ("c", "b", "missing", "a", "b")]
        answer = client.ask("DescribeTopicPartitions", 0, topics=topics, response_partition_limit=3, cursor=cursor)
        found.append([(topic.name, [each.partition_index for each in topic.partitions]) for topic in answer.topics])
        if answer.next_cursor is None:
            break
        name, number = answer.next_cursor.topic_name, answer.next_cursor.partition_index
        cursor = kind("DescribeTopicPartitionsRequest", "Cursor")(topic_name=name, partition_index=number)
    assert found == [[("a", [0, 1]), ("b", [0])], [("b", [1, 2, 3])], [("b", [4]), ("c", [0]), ("missing", [])]]


def test_all_topics_are_described_with_ids_leaders_and_epochs(client: RawClient, log: EventLog) -> None:
    found = client.ask("DescribeTopicPartitions", 0).topics[0]
    partition = found.partitions[0]
    assert (found.name, found.topic_id) == ("events", client.metadata("events", version=12).topics[0].topic_id)
    assert (partition.leader_id, partition.leader_epoch, list(partition.replica_nodes)) == (1, 0, [1])
    assert (partition.eligible_leader_replicas, partition.last_known_elr) == ([], [])
    entry = kind("DescribeTopicPartitionsRequest", "TopicRequest")
    wrong = client.ask("DescribeTopicPartitions", 0, topics=[entry(name="missing"), entry(name="a/b")])
    assert [(each.name, each.error_code) for each in wrong.topics] == [
        ("a/b", errors.INVALID_TOPIC_EXCEPTION), ("missing", errors.UNKNOWN_TOPIC_OR_PARTITION),
    ]  # fmt: skip
    cursor = kind("DescribeTopicPartitionsRequest", "Cursor")(topic_name="zzz", partition_index=-5)
    assert list(client.ask("DescribeTopicPartitions", 0, cursor=cursor).topics) == []
    cursor = kind("DescribeTopicPartitionsRequest", "Cursor")(topic_name="events", partition_index=2**31 - 1)
    assert [list(each.partitions) for each in client.ask("DescribeTopicPartitions", 0, cursor=cursor).topics] == [[]]
