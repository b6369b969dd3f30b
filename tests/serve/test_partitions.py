"""CreatePartitions and DeleteRecords."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import eventlog
from eventlog import EventLog, Partition
from eventlog.serve import errors
from eventlog.serve.protocol.messages import kind
from tests.serve.client import RawClient


def grow(
    client: RawClient, count: int, *, version: int = 3, topic: str = "events", replicas: list[list[int]] | None = None,
    validate_only: bool = False,
) -> Any:  # fmt: skip
    assignment = kind("CreatePartitionsRequest", "CreatePartitionsAssignment")
    assignments = None if replicas is None else [assignment(broker_ids=each) for each in replicas]
    wanted = kind("CreatePartitionsRequest", "CreatePartitionsTopic")(name=topic, count=count, assignments=assignments)
    answer = client.ask("CreatePartitions", version, topics=[wanted], timeout_ms=1000, validate_only=validate_only)
    return answer.results[0]


@pytest.mark.parametrize("version", range(4))
def test_a_topic_gets_more_partitions_which_other_processes_use_at_once(
    client: RawClient, store: Path, version: int
) -> None:
    with eventlog.open(store) as other:
        assert grow(client, 4, version=version).error_code == errors.NONE
        assert other.topic("events").partitions == 4
        other.partition("events", 3).append(b"a")
        assert client.fetch("events", 0, partition=3).high_watermark == 1
        other.alter_topic("events", partitions=5)
        assert len(client.metadata("events").topics[0].partitions) == 5


def test_what_is_only_tried_adds_no_partitions(client: RawClient, log: EventLog) -> None:
    assert grow(client, 4, validate_only=True).error_code == errors.NONE
    assert log.topic("events").partitions == 1


def test_partitions_can_be_assigned_to_the_broker_there_is(client: RawClient, log: EventLog) -> None:
    assert grow(client, 3, replicas=[[1], [1]]).error_code == errors.NONE
    assert log.topic("events").partitions == 3


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"count": 1}, errors.INVALID_PARTITIONS),
        ({"count": 0}, errors.INVALID_PARTITIONS),
        ({"count": -(2**31)}, errors.INVALID_PARTITIONS),
        ({"count": 2**31 - 1}, errors.INVALID_PARTITIONS),
        ({"count": 2, "topic": "missing"}, errors.UNKNOWN_TOPIC_OR_PARTITION),
        ({"count": 2, "replicas": []}, errors.INVALID_REPLICA_ASSIGNMENT),
        ({"count": 2, "replicas": [[2]]}, errors.INVALID_REPLICA_ASSIGNMENT),
        ({"count": 2, "replicas": [[]]}, errors.INVALID_REPLICA_ASSIGNMENT),
        ({"count": 2, "replicas": [[1], [1]]}, errors.INVALID_REPLICA_ASSIGNMENT),
    ],
)
def test_partitions_that_cannot_be_added_are_told(
    client: RawClient, log: EventLog, fields: dict[str, Any], code: int
) -> None:
    for validate_only in (True, False):
        answer = grow(client, **fields, validate_only=validate_only)
        assert (answer.error_code, bool(answer.error_message)) == (code, True)
    assert log.topic("events").partitions == 1


def test_a_topic_that_is_to_grow_twice_in_one_request_does_not(client: RawClient, log: EventLog) -> None:
    topic = kind("CreatePartitionsRequest", "CreatePartitionsTopic")
    answer = client.ask("CreatePartitions", 3, topics=[topic(name="events", count=count) for count in (2, 3)])
    assert [each.error_code for each in answer.results] == [errors.INVALID_REQUEST] * 2
    assert log.topic("events").partitions == 1


def delete(client: RawClient, offset: int, *, version: int = 2, topic: str = "events", partition: int = 0) -> Any:
    wanted = kind("DeleteRecordsRequest", "DeleteRecordsPartition")(partition_index=partition, offset=offset)
    topics = [kind("DeleteRecordsRequest", "DeleteRecordsTopic")(name=topic, partitions=[wanted])]
    return client.ask("DeleteRecords", version, topics=topics, timeout_ms=1000).topics[0].partitions[0]


@pytest.mark.parametrize("version", range(3))
def test_records_are_deleted_for_every_process(client: RawClient, partition: Partition, version: int) -> None:
    partition.append_many([b"a", b"b", b"c", b"d"])
    found = [delete(client, offset, version=version) for offset in (2, 1, 4)]
    assert [(each.error_code, each.low_watermark) for each in found] == [(errors.NONE, 2), (errors.NONE, 2), (errors.NONE, 4)]
    assert (partition.start_offset, partition.end_offset) == (4, 4)


def test_all_records_are_deleted(client: RawClient, partition: Partition) -> None:
    partition.append_many([b"a", b"b"])
    assert delete(client, -1).low_watermark == 2
    assert partition.start_offset == 2


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"offset": 3}, errors.OFFSET_OUT_OF_RANGE),
        ({"offset": -2}, errors.OFFSET_OUT_OF_RANGE),
        ({"offset": 2**63 - 1}, errors.OFFSET_OUT_OF_RANGE),
        ({"offset": 1, "topic": "missing"}, errors.UNKNOWN_TOPIC_OR_PARTITION),
        ({"offset": 1, "topic": "a/../b"}, errors.UNKNOWN_TOPIC_OR_PARTITION),
        ({"offset": 1, "partition": 1}, errors.UNKNOWN_TOPIC_OR_PARTITION),
        ({"offset": 1, "partition": -1}, errors.UNKNOWN_TOPIC_OR_PARTITION),
        ({"offset": 1, "topic": "latest"}, errors.POLICY_VIOLATION),
    ],
)
def test_records_that_cannot_be_deleted_stay(
    client: RawClient, log: EventLog, partition: Partition, fields: dict[str, Any], code: int
) -> None:
    log.create_topic("latest", config={"cleanup.policy": "compact"})
    partition.append_many([b"a", b"b"])
    answer = delete(client, **fields)
    assert (answer.error_code, answer.low_watermark) == (code, -1)
    assert partition.start_offset == 0
