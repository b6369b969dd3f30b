"""Requests for administration that are meant to cost much: long names, long lists, long values, and many clients at once."""

from __future__ import annotations

import threading
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

import eventlog
from eventlog import EventLog, Partition
from eventlog.serve import errors
from eventlog.serve.protocol.messages import kind
from tests.serve.client import RawClient
from tests.serve.conftest import RunningServer

TOPIC, BROKER = 2, 4
SET, APPEND = 0, 2
MIB = 2**20
LONG = "€" * MIB


def created(client: RawClient, names: list[str], *, validate_only: bool = False) -> list[Any]:
    entry = kind("CreateTopicsRequest", "CreatableTopic")
    topics = [entry(name=name, num_partitions=1, replication_factor=1) for name in names]
    return list(client.ask("CreateTopics", 7, topics=topics, validate_only=validate_only).topics)


def test_long_names_are_not_quoted_in_full(client: RawClient, log: EventLog) -> None:
    for version, longest in ((2, "x" * 32_767), (7, LONG)):
        topic = kind("CreateTopicsRequest", "CreatableTopic")(name=longest, num_partitions=1, replication_factor=1)
        found = client.ask("CreateTopics", version, topics=[topic]).topics[0]
        assert (found.error_code, len(found.error_message) <= 1000) == (errors.INVALID_TOPIC_EXCEPTION, True)
    wanted = kind("CreatePartitionsRequest", "CreatePartitionsTopic")(name=LONG, count=2, assignments=None)
    found = client.ask("CreatePartitions", 3, topics=[wanted]).results[0]
    assert (found.error_code, len(found.error_message) <= 1000) == (errors.UNKNOWN_TOPIC_OR_PARTITION, True)
    resource = kind("DescribeConfigsRequest", "DescribeConfigsResource")(resource_type=BROKER, resource_name=LONG)
    found = client.ask("DescribeConfigs", 4, resources=[resource]).results[0]
    assert (found.error_code, len(found.error_message) <= 1000) == (errors.INVALID_REQUEST, True)
    assert log.topics() == ["events"]


@pytest.mark.parametrize("operation", [SET, APPEND])
@pytest.mark.parametrize("name", ["cleanup.policy", "leader.replication.throttled.replicas", "retention.ms", LONG])
def test_values_of_any_length_are_refused(client: RawClient, log: EventLog, name: str, operation: int) -> None:
    for value in ("," * MIB, "0:1," * MIB, "9" * MIB, " " * MIB, "\x00"):
        config = kind("IncrementalAlterConfigsRequest", "AlterableConfig")(
            name=name, config_operation=operation, value=value
        )
        resource = kind("IncrementalAlterConfigsRequest", "AlterConfigsResource")(
            resource_type=TOPIC, resource_name="events", configs=[config]
        )
        assert client.ask("IncrementalAlterConfigs", 1, resources=[resource]).responses[0].error_code == errors.INVALID_CONFIG
    assert log.topic("events").config == {}


def test_a_list_grows_only_up_to_a_length(client: RawClient, log: EventLog) -> None:
    name, codes = "leader.replication.throttled.replicas", []
    for number in range(3):
        value = ",".join(f"{number}{each:05}:1" for each in range(1500))
        config = kind("IncrementalAlterConfigsRequest", "AlterableConfig")(name=name, config_operation=APPEND, value=value)
        resource = kind("IncrementalAlterConfigsRequest", "AlterConfigsResource")(
            resource_type=TOPIC, resource_name="events", configs=[config]
        )
        codes.append(client.ask("IncrementalAlterConfigs", 1, resources=[resource]).responses[0].error_code)
    assert codes == [errors.NONE, errors.NONE, errors.INVALID_CONFIG]


def test_what_is_asked_for_many_times_is_answered_once(client: RawClient) -> None:
    entry = kind("DescribeConfigsRequest", "DescribeConfigsResource")
    resources = [entry(resource_type=each, resource_name=name) for each, name in ((TOPIC, "events"), (BROKER, "1"))] * 20_000
    tracemalloc.start()
    try:
        answer = client.ask("DescribeConfigs", 4, resources=resources, include_synonyms=True, include_documentation=True)
        assert len(answer.results) == 2
        assert tracemalloc.get_traced_memory()[1] < 100 * MIB  # of which the request takes most, twice: the client has it, too
    finally:
        tracemalloc.stop()


def test_very_many_new_topics_are_checked_within_little_memory(client: RawClient, log: EventLog) -> None:
    names = [f"new-{number}" for number in range(5_000)]
    tracemalloc.start()
    try:
        assert {each.error_code for each in created(client, names[:10], validate_only=True)} == {errors.NONE}
        before = tracemalloc.get_traced_memory()[1]
        entry = kind("CreateTopicsRequest", "CreatableTopic")
        topics = [entry(name=name, num_partitions=1, replication_factor=1) for name in names]
        client.send("CreateTopics", 7, topics=topics, validate_only=True)
        assert client.receive_frame() is not None
        assert tracemalloc.get_traced_memory()[1] - before < 40 * MIB
    finally:
        tracemalloc.stop()
    assert log.topics() == ["events"]


def test_a_partition_stands_once_in_a_request_for_offsets(client: RawClient, partition: Partition) -> None:
    partition.append(b"a")
    wanted = [kind("ListOffsetsRequest", "ListOffsetsPartition")(partition_index=0, timestamp=-3)] * 10_000
    topics = [kind("ListOffsetsRequest", "ListOffsetsTopic")(name="events", partitions=wanted)]
    found = client.ask("ListOffsets", 7, topics=topics).topics[0].partitions
    assert {each.error_code for each in found} == {errors.INVALID_REQUEST}


def test_clients_that_change_the_same_topic_do_not_lose_what_others_did(
    server: RunningServer, log: EventLog, store: Path
) -> None:
    failures: list[object] = []

    def work(client_number: int) -> None:
        with RawClient(server.address) as client:
            for number in range(5):
                created(client, [f"shared-{number}", f"own-{client_number}-{number}"])
                value = f"{client_number}{number}:1"
                config = kind("IncrementalAlterConfigsRequest", "AlterableConfig")(
                    name="leader.replication.throttled.replicas", config_operation=APPEND, value=value
                )
                resource = kind("IncrementalAlterConfigsRequest", "AlterConfigsResource")(
                    resource_type=TOPIC, resource_name="events", configs=[config]
                )
                answer = client.ask("IncrementalAlterConfigs", 1, resources=[resource]).responses[0]
                failures.extend([answer.error_message] if answer.error_code else [])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(1, 5)]
    for thread in threads:
        thread.start()
    with eventlog.open(store) as other:
        for number in range(5):
            other.alter_topic("events", config={"segment.ms": 1000 + number})
    for thread in threads:
        thread.join()
    assert not failures
    config = log.topic("events").config
    replicas = str(config["leader.replication.throttled.replicas"]).split(",")
    assert sorted(replicas) == sorted(f"{client}{number}:1" for client in range(1, 5) for number in range(5))
    assert config["segment.ms"] == 1004
    names = [f"own-{client}-{number}" for client in range(1, 5) for number in range(5)]
    assert sorted(log.topics()) == sorted(["events", *names, *(f"shared-{number}" for number in range(5))])


def test_topics_that_come_and_go_while_they_are_described(server: RunningServer, log: EventLog) -> None:
    """Each answer is about a topic that is there, or says that it is not."""
    is_over = threading.Event()
    wrong: list[tuple[str, int]] = []
    allowed = {errors.NONE, errors.UNKNOWN_TOPIC_OR_PARTITION}

    def ask() -> None:
        resource = kind("DescribeConfigsRequest", "DescribeConfigsResource")(resource_type=TOPIC, resource_name="fleeting")
        wanted = kind("ListOffsetsRequest", "ListOffsetsPartition")(partition_index=0, timestamp=-3)
        offsets = [kind("ListOffsetsRequest", "ListOffsetsTopic")(name="fleeting", partitions=[wanted])]
        records = kind("DeleteRecordsRequest", "DeleteRecordsPartition")(partition_index=0, offset=-1)
        deletions = [kind("DeleteRecordsRequest", "DeleteRecordsTopic")(name="fleeting", partitions=[records])]
        with RawClient(server.address) as client:
            while not is_over.is_set():
                answers = {
                    "configs": client.ask("DescribeConfigs", 4, resources=[resource]).results[0],
                    "offsets": client.ask("ListOffsets", 7, topics=offsets).topics[0].partitions[0],
                    "records": client.ask("DeleteRecords", 2, topics=deletions).topics[0].partitions[0],
                    "metadata": client.metadata("fleeting", allow_auto_topic_creation=False).topics[0],
                }
                client.ask("DescribeLogDirs", 4, topics=None)
                wrong.extend((name, each.error_code) for name, each in answers.items() if each.error_code not in allowed)

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    for _ in range(15):
        log.create_topic("fleeting")
        log.partition("fleeting", 0).append(b"a")
        log.delete_topic("fleeting")
    is_over.set()
    for thread in threads:
        thread.join()
    assert not wrong
