"""Leader epochs: a partition that lost the end of its log has begun one, and clients find out what they have read in vain."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import eventlog
from eventlog import EventLog
from eventlog.serve import errors
from eventlog.serve.protocol.messages import kind
from eventlog.waiting import Signals
from tests.serve.client import RawClient
from tests.support import stores

END = 4  # of what the torn partition still has


@pytest.fixture
def log(store: Path) -> Iterator[EventLog]:
    """A store with four records, and the beginning of a batch that was not on disk when the power was cut."""
    with eventlog.open(store) as log:
        stores.open_partition(log).append_many([b"a", b"b", b"c", b"d"])
        segment = stores.open_partition(log).directory / f"{0:020}.log"
    torn = segment.read_bytes()[:70]
    segment.write_bytes(segment.read_bytes() + torn)
    stores.head_file(store).unlink()
    with eventlog.open(store) as log:
        yield log


def told_epoch(client: RawClient, version: int = 9) -> int:
    return int(client.metadata("events", version=version).topics[0].partitions[0].leader_epoch)


def fetched(client: RawClient, epoch: int, offset: int = 0, *, last_fetched: int = -1, **fields: Any) -> Any:
    wanted = kind("FetchRequest", "FetchPartition")(
        partition=0, fetch_offset=offset, partition_max_bytes=2**20, current_leader_epoch=epoch, last_fetched_epoch=last_fetched
    )
    topics = [kind("FetchRequest", "FetchTopic")(topic="events", partitions=[wanted])]
    return client.ask("Fetch", 12, topics=topics, max_bytes=2**20, **fields).responses[0].partitions[0]


def end_of(client: RawClient, epoch: int, *, current: int = -1, version: int = 4, number: int = 0) -> tuple[int, int, int]:
    name = "OffsetForLeaderEpochRequest"
    wanted = kind(name, "OffsetForLeaderPartition")(partition=number, current_leader_epoch=current, leader_epoch=epoch)
    topics = [kind(name, "OffsetForLeaderTopic")(topic="events", partitions=[wanted])]
    found = client.ask("OffsetForLeaderEpoch", version, topics=topics).topics[0].partitions[0]
    return found.error_code, found.leader_epoch, found.end_offset


def test_a_client_with_an_older_epoch_is_told_and_finds_the_newer_one(client: RawClient) -> None:
    assert told_epoch(client) == 0
    assert fetched(client, 0).error_code == errors.FENCED_LEADER_EPOCH
    assert [told_epoch(client, version) for version in (6, 7, 9, 13)] == [-1, 1, 1, 1]
    assert client.ask("DescribeTopicPartitions", 0).topics[0].partitions[0].leader_epoch == 1
    assert [fetched(client, epoch).error_code for epoch in (-1, 1)] == [errors.NONE, errors.NONE]
    assert fetched(client, 2).error_code == errors.UNKNOWN_LEADER_EPOCH


def test_a_client_that_waits_at_the_end_is_told_too(client: RawClient) -> None:
    assert fetched(client, 1, END).error_code == errors.NONE
    assert fetched(client, 0, END, max_wait_ms=20_000, min_bytes=1).error_code == errors.FENCED_LEADER_EPOCH


def test_a_client_that_says_what_it_has_read_is_told_where_that_ended(client: RawClient, log: EventLog) -> None:
    """As followers ask (KIP-595)."""
    log.partition("events", 0).append(b"e")

    def diverging(offset: int, last_fetched: int) -> tuple[int, int, int]:
        found = fetched(client, 1, offset, last_fetched=last_fetched, max_wait_ms=20_000, min_bytes=1)
        return found.error_code, found.diverging_epoch.epoch, found.diverging_epoch.end_offset

    assert diverging(END + 1, 0) == (errors.NONE, 0, END)  # it has read a record that was lost
    assert diverging(END, 0) == (errors.NONE, -1, -1)
    assert len(fetched(client, 1, END, last_fetched=0).records) > 0
    assert diverging(END + 3, 1) == (errors.NONE, 1, END + 1)
    assert diverging(END, 7) == (errors.OFFSET_OUT_OF_RANGE, -1, -1)


def test_an_epoch_that_another_process_has_begun_is_told_at_once(client: RawClient, store: Path) -> None:
    assert told_epoch(client) == 0
    with eventlog.open(store) as other:
        other.partition("events", 0)
        assert told_epoch(client) == 1


def test_an_epoch_that_nobody_has_announced_is_told_to_a_client_that_was_refused(
    client: RawClient, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process that began it died before it could announce it."""
    assert told_epoch(client) == 0
    with eventlog.open(store) as other, monkeypatch.context() as patched:
        patched.setattr(Signals, "catalog_changed", lambda signals, number: None)
        other.partition("events", 0)
        assert told_epoch(client) == 0
        assert fetched(client, 0).error_code == errors.FENCED_LEADER_EPOCH
        assert told_epoch(client) == 1


@pytest.mark.parametrize("version", range(2, 5))
def test_epochs_end_where_the_next_one_began(client: RawClient, log: EventLog, version: int) -> None:
    log.partition("events", 0).append(b"e")
    found = [end_of(client, epoch, version=version) for epoch in (-1, 0, 1, 2)]
    assert found == [(errors.NONE, -1, -1), (errors.NONE, 0, END), (errors.NONE, 1, END + 1), (errors.NONE, -1, -1)]
    assert end_of(client, 0, current=0, version=version)[0] == errors.FENCED_LEADER_EPOCH
    assert end_of(client, 0, current=1, version=version)[0] == errors.NONE
    assert end_of(client, 0, current=2, version=version)[0] == errors.UNKNOWN_LEADER_EPOCH
    assert end_of(client, 0, version=version, number=1)[0] == errors.UNKNOWN_TOPIC_OR_PARTITION


def test_offsets_are_told_with_the_epoch_of_their_batch(client: RawClient, log: EventLog) -> None:
    partition = log.partition("events", 0)
    partition.append(b"e", timestamp=2**60)

    def told(timestamp: int, current: int = -1) -> tuple[int, int, int]:
        name = "ListOffsetsRequest"
        wanted = kind(name, "ListOffsetsPartition")(partition_index=0, timestamp=timestamp, current_leader_epoch=current)
        topics = [kind(name, "ListOffsetsTopic")(name="events", partitions=[wanted])]
        found = client.ask("ListOffsets", 7, topics=topics).topics[0].partitions[0]
        return found.error_code, found.offset, found.leader_epoch

    assert [told(timestamp) for timestamp in (-1, -2, -3, 0)] == [
        (errors.NONE, END + 1, 1), (errors.NONE, 0, 0), (errors.NONE, END, 1), (errors.NONE, 0, 0),
    ]  # fmt: skip
    assert [told(-1, current)[0] for current in (0, 1, 2)] == [
        errors.FENCED_LEADER_EPOCH, errors.NONE, errors.UNKNOWN_LEADER_EPOCH,
    ]  # fmt: skip
