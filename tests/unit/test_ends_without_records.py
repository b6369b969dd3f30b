"""Logs that end in the marker of a transaction or in a gap that compaction has left: waiting, lag, the last record."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

import eventlog
import eventlog.aio
from eventlog import EventLog, Partition, TopicPartition
from tests.support import stores
from tests.support.broker_log import batch, marker, put, sent

PLACE = TopicPartition(stores.TOPIC, 0)


def _after_a_transaction(store: Path) -> None:
    """Records at 0 and 1, and markers at 2 and 3."""
    stores.create(store)
    ends = [marker(2, 7, is_commit=True), marker(3, 8, is_commit=True)]
    put(store, {0: [sent(0, 7, (b"a", b"1")), sent(1, 8, (b"b", b"2")), *ends]})


def _in_a_new_segment(store: Path) -> None:
    """The same, with the markers in a segment of their own."""
    stores.create(store)
    put(store, {
        0: [batch(0, [(b"a", b"1"), (b"b", b"2")])],
        2: [marker(2, 7, is_commit=True), marker(3, 8, is_commit=False)],
    })  # fmt: skip


def _in_a_gap(store: Path) -> None:
    """Records at 0 and 1; compaction has taken away those at 2 and 3."""
    stores.create(store, cleanup_policy="compact", delete_retention_ms=0, segment_bytes=1024)
    with eventlog.open(store) as log:
        partition = stores.open_partition(log)
        partition.append_many([b"1", b"2", b"x", None], keys=[b"a", b"b", b"c", b"c"])
        for _ in range(3):
            log.maintain(compact_all=True)
        assert [record.offset for record in partition.records()] == [0, 1]


@pytest.fixture(params=[_after_a_transaction, _in_a_new_segment, _in_a_gap])
def store(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A log that ends at 4, and whose last record is at 1."""
    make: Callable[[Path], None] = request.param
    make(tmp_path / "store")
    return tmp_path / "store"


def commit(log: EventLog, group: str, offset: int) -> None:
    with log.consumer(group=group) as consumer:
        consumer.assign([PLACE])
        consumer.commit({PLACE: offset})


@pytest.mark.parametrize("durable", [False, True])
def test_waiting_says_yes_just_where_reading_gives_something(partition: Partition, durable: bool) -> None:
    assert (partition.start_offset, partition.end_offset) == (0, 4)
    for _ in range(2):
        for offset in range(5):
            is_there = partition.wait(offset, timeout=0, durable=durable)
            assert is_there == bool(partition.read(offset, durable=durable)) == (offset < 2)
    assert [record.offset for record in partition.records(1)] == [1] and list(partition.values(2)) == []
    partition.append(b"next", b"n")
    partition.flush()
    for offset in range(5):
        assert partition.wait(offset, timeout=0, durable=durable) and partition.read(offset)
    assert not partition.wait(5, timeout=0)


@pytest.mark.parametrize("offset", [2, 4])
def test_who_waits_behind_the_last_record_is_woken_by_the_next_one(store: Path, partition: Partition, offset: int) -> None:
    answers: list[bool] = []
    waiter = threading.Thread(target=lambda: answers.append(partition.wait(offset, timeout=60)))
    waiter.start()
    partition.append(b"next", b"n")
    waiter.join()
    assert answers == [True] and partition.read(offset)[0].offset == 4


def test_a_task_that_waits_behind_the_last_record_is_woken_by_the_next_one(store: Path) -> None:
    async def main() -> None:
        async with eventlog.aio.open(store) as log:
            partition = log.partition(stores.TOPIC, 0)
            assert await partition.wait(1, timeout=0) and not await partition.wait(2, timeout=0)
            waiting = asyncio.create_task(partition.wait(2, timeout=60))
            await partition.append(b"next", b"n")
            assert await waiting

    asyncio.run(main())


def test_a_group_that_has_acknowledged_the_last_record_lags_nowhere(log: EventLog, partition: Partition) -> None:
    for group, committed, lag in (("done", 2, 0), ("at the end", 4, 0), ("behind", 1, 3)):
        group = group.replace(" ", "-")
        commit(log, group, committed)
        assert log.group(group).lag() == {PLACE: lag}
        progress = log.group(group).progress()[PLACE]
        assert (progress.lag, progress.lag_seconds == 0.0) == (lag, lag == 0)
        assert log.lags()[group] == {PLACE: lag}
        found = {each.name: each.lag for each in log.describe_topic(stores.TOPIC).groups}
        assert found[group] == lag
        assert {each.name: each.lag for each in log.activity().groups}[group] == lag
    partition.append(b"next", b"n")
    assert {name: lag[PLACE] for name, lag in log.lags().items()} == {"done": 3, "at-the-end": 1, "behind": 4}


def test_the_newest_time_is_that_of_the_last_record(log: EventLog, partition: Partition) -> None:
    overview = log.describe_topic(stores.TOPIC)
    assert overview.newest_ms == partition.read(1)[0].timestamp
    newest = overview.newest_ms
    assert newest is not None and partition.offset_for_time(newest + 1) is None
