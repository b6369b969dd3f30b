"""Clients that read only what is committed: up to the last stable offset, and told which transactions were aborted."""

from __future__ import annotations

from typing import Any

import pytest

from eventlog import Partition
from eventlog.serve.protocol.messages import kind
from tests.serve.batches import batch
from tests.serve.client import RawClient
from tests.support.kafka_format import parse_batches

COMMITTED, UNCOMMITTED = 1, 0
TRANSACTIONAL = 0x10
LATEST, EARLIEST = -1, -2
LONG_MS = 60_000


def append(partition: Partition, value: bytes, sequence: int, *, producer_id: int = 7) -> int:
    return partition.log.append(batch([value], producer=(producer_id, 0, sequence), attributes=TRANSACTIONAL)).first_offset


def values(entry: Any) -> list[bytes | None]:
    batches = parse_batches(bytes(entry.records))
    return [record.value for each in batches if not each.attributes & 0x20 for record in each.records]


def aborted(entry: Any) -> list[tuple[int, int]]:
    return [(each.producer_id, each.first_offset) for each in entry.aborted_transactions]


@pytest.mark.parametrize("version", range(4, 13))
def test_an_open_transaction_is_read_only_by_those_who_read_everything(
    client: RawClient, partition: Partition, version: int
) -> None:
    partition.append(b"plain")
    append(partition, b"open", 0)
    partition.append(b"behind")
    found = client.fetch("events", 0, version=version, isolation_level=COMMITTED)
    assert (found.last_stable_offset, found.high_watermark, values(found)) == (1, 3, [b"plain"])
    found = client.fetch("events", 0, version=version, isolation_level=UNCOMMITTED)
    assert (found.last_stable_offset, found.high_watermark, values(found)) == (1, 3, [b"plain", b"open", b"behind"])
    partition.log.append_marker(7, 0, 0, commit=True)
    found = client.fetch("events", 1, version=version, isolation_level=COMMITTED)
    assert (found.last_stable_offset, values(found), aborted(found)) == (4, [b"open", b"behind"], [])


def test_aborted_transactions_are_listed_by_their_beginnings(client: RawClient, partition: Partition) -> None:
    append(partition, b"a", 0, producer_id=9)
    append(partition, b"b", 0, producer_id=8)
    append(partition, b"c", 0)
    partition.log.append_marker(8, 0, 0, commit=False)
    partition.log.append_marker(7, 0, 0, commit=True)
    partition.log.append_marker(9, 0, 0, commit=False)
    found = client.fetch("events", 0, isolation_level=COMMITTED)
    assert (values(found), aborted(found)) == ([b"a", b"b", b"c"], [(9, 0), (8, 1)])
    assert aborted(client.fetch("events", 5, isolation_level=COMMITTED)) == [(9, 0)]


@pytest.mark.parametrize("is_commit", [True, False])
def test_a_client_that_waits_for_what_is_committed_is_woken_by_the_marker(
    client: RawClient, partition: Partition, is_commit: bool
) -> None:
    append(partition, b"open", 0)
    sent = client.send_fetch("events", 0, max_wait_ms=LONG_MS, isolation_level=COMMITTED)
    partition.append(b"behind")
    partition.log.append_marker(7, 0, 0, commit=is_commit)
    found = client.receive(*sent).responses[0].partitions[0]
    assert (values(found), aborted(found)) == ([b"open", b"behind"], [] if is_commit else [(7, 0)])


def list_offset(client: RawClient, timestamp: int, isolation_level: int) -> int:
    wanted = kind("ListOffsetsRequest", "ListOffsetsPartition")(partition_index=0, timestamp=timestamp)
    topics = [kind("ListOffsetsRequest", "ListOffsetsTopic")(name="events", partitions=[wanted])]
    answer = client.ask("ListOffsets", 6, topics=topics, isolation_level=isolation_level)
    return int(answer.topics[0].partitions[0].offset)


def test_the_latest_offset_is_the_last_stable_one(client: RawClient, partition: Partition) -> None:
    assert list_offset(client, LATEST, COMMITTED) == 0
    partition.append(b"plain", timestamp=1000)
    append(partition, b"open", 0)
    assert [list_offset(client, LATEST, level) for level in (COMMITTED, UNCOMMITTED)] == [1, 2]
    assert [list_offset(client, 2000, level) for level in (COMMITTED, UNCOMMITTED)] == [-1, 1]
    assert [list_offset(client, time, COMMITTED) for time in (EARLIEST, 500)] == [0, 0]
    partition.log.append_marker(7, 0, 0, commit=False)
    assert list_offset(client, LATEST, COMMITTED) == 3
