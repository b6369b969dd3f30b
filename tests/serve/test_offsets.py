"""ListOffsets: where partitions begin and end, and which offset a time has."""

from __future__ import annotations

import random
from typing import Any

import pytest

from eventlog import EventLog, Partition
from eventlog.serve import errors
from eventlog.serve.protocol.messages import kind
from tests.serve.client import RawClient

LATEST, EARLIEST, LARGEST_TIME, EARLIEST_LOCAL, LATEST_TIERED = -1, -2, -3, -4, -5


def list_offset(client: RawClient, timestamp: int, *, version: int = 6, topic: str = "events", partition: int = 0) -> Any:
    wanted = kind("ListOffsetsRequest", "ListOffsetsPartition")(partition_index=partition, timestamp=timestamp)
    topics = [kind("ListOffsetsRequest", "ListOffsetsTopic")(name=topic, partitions=[wanted])]
    return client.ask("ListOffsets", version, topics=topics).topics[0].partitions[0]


@pytest.mark.parametrize("version", range(1, 11))
def test_the_beginning_the_end_and_times_have_offsets(client: RawClient, partition: Partition, version: int) -> None:
    partition.append_many([b"a", b"b", b"c", b"d"], timestamps=[1000, 2000, 3000, 4000])
    partition.delete_records(1)
    found = [list_offset(client, timestamp, version=version) for timestamp in (EARLIEST, LATEST, 0, 2001, 4000, 4001)]
    assert [(each.offset, each.timestamp) for each in found] == [
        (1, -1), (4, -1), (1, 2000), (2, 3000), (3, 4000), (-1, -1),
    ]  # fmt: skip
    assert {each.error_code for each in found} == {errors.NONE}


def test_an_empty_partition_begins_where_it_ends(client: RawClient, partition: Partition) -> None:
    assert [list_offset(client, timestamp).offset for timestamp in (EARLIEST, LATEST, 0)] == [0, 0, -1]


@pytest.mark.parametrize(("topic", "number"), [("missing", 0), ("events", 1), ("events", -1)])
def test_a_partition_that_is_not_there_is_unknown(client: RawClient, partition: Partition, topic: str, number: int) -> None:
    assert list_offset(client, LATEST, topic=topic, partition=number).error_code == errors.UNKNOWN_TOPIC_OR_PARTITION


def test_what_is_no_time_is_refused(client: RawClient, partition: Partition) -> None:
    assert list_offset(client, -7).error_code == errors.INVALID_REQUEST


@pytest.mark.parametrize(("timestamp", "first"), [(LARGEST_TIME, 7), (EARLIEST_LOCAL, 8), (LATEST_TIERED, 9)])
def test_versions_have_the_times_that_they_have_with_kafka(
    client: RawClient, partition: Partition, timestamp: int, first: int
) -> None:
    partition.append_many([b"a", b"b"], timestamps=[2000, 1000])
    codes = [list_offset(client, timestamp, version=version).error_code for version in range(1, 11)]
    assert codes == [errors.UNSUPPORTED_VERSION if version < first else errors.NONE for version in range(1, 11)]


def test_the_record_with_the_largest_time_is_found(client: RawClient, log: EventLog) -> None:
    log.create_topic("orders", config={"segment.bytes": 1024})
    partition = log.partition("orders", 0)
    assert [list_offset(client, LARGEST_TIME, version=7, topic="orders").offset for _ in range(1)] == [-1]
    seed = random.randrange(2**32)
    print("seed", seed)
    chance = random.Random(seed)
    for _ in range(40):
        batch = [chance.randrange(1000) for _ in range(chance.randrange(1, 6))]
        partition.append_many([b"x" * 50] * len(batch), timestamps=batch)
        if chance.random() < 0.3:
            partition.delete_records(chance.randrange(partition.start_offset, partition.end_offset))
        kept = [(record.timestamp, -record.offset) for record in partition.records()]
        timestamp, offset = max(kept)
        found = list_offset(client, LARGEST_TIME, version=7, topic="orders")
        assert (found.offset, found.timestamp) == (-offset, timestamp)


def test_nothing_is_in_tiered_storage(client: RawClient, partition: Partition) -> None:
    partition.append_many([b"a", b"b"])
    partition.delete_records(1)
    assert list_offset(client, EARLIEST_LOCAL, version=8).offset == 1
    assert list_offset(client, LATEST_TIERED, version=9).offset == -1


def test_partitions_are_not_opened_to_be_told_where_they_end(client: RawClient, log: EventLog) -> None:
    log.create_topic("wide", 300)
    wanted = [kind("ListOffsetsRequest", "ListOffsetsPartition")(partition_index=number, timestamp=-1) for number in range(300)]
    topics = [kind("ListOffsetsRequest", "ListOffsetsTopic")(name="wide", partitions=wanted)]
    found = client.ask("ListOffsets", 6, topics=topics).topics[0].partitions
    told = [(each.partition_index, each.offset, each.leader_epoch) for each in found]
    assert told == [(number, 0, 0) for number in range(300)]
    assert not log.store.partitions.in_use()
