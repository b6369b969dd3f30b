"""ListOffsets: where partitions begin and end, and which offset a time has."""

from __future__ import annotations

from typing import Any

import pytest

from eventlog import Partition
from eventlog.serve import errors
from eventlog.serve.protocol.messages import kind
from tests.serve.client import RawClient

LATEST, EARLIEST = -1, -2


def list_offset(client: RawClient, timestamp: int, *, version: int = 6, topic: str = "events", partition: int = 0) -> Any:
    wanted = kind("ListOffsetsRequest", "ListOffsetsPartition")(partition_index=partition, timestamp=timestamp)
    topics = [kind("ListOffsetsRequest", "ListOffsetsTopic")(name=topic, partitions=[wanted])]
    return client.ask("ListOffsets", version, topics=topics).topics[0].partitions[0]


@pytest.mark.parametrize("version", range(1, 7))
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
