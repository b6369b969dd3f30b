"""Appending only if the log still ends at the expected offset: of several that expect the same offset, one succeeds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

import eventlog
from eventlog import ConflictError, EventLog, InvalidArgumentError, InvalidTypeError, Partition, aio
from tests.support import stores
from tests.support.processes import Worker

ROUNDS = 300


@pytest.fixture(params=["always", "interval"])
def log(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[EventLog]:
    with eventlog.open(tmp_path / "store", fsync=request.param) as opened:
        opened.create_topic(stores.TOPIC, config={"segment.bytes": 100_000})
        yield opened


@pytest.fixture
def partition(log: EventLog) -> Partition:
    return stores.open_partition(log)


def test_the_error_says_where_the_log_ends(partition: Partition) -> None:
    partition.append_many([b"a", b"b", b"c"])
    with pytest.raises(ConflictError) as caught:
        partition.append(b"d", expected_end_offset=2)
    error = caught.value
    assert (error.topic, error.partition, error.expected_end_offset, error.end_offset) == (stores.TOPIC, 0, 2, 3)
    assert partition.append(b"d", expected_end_offset=error.end_offset) == 3


@pytest.mark.parametrize(
    "append",
    [
        lambda partition, expected: partition.append(b"v", key=b"k", expected_end_offset=expected),
        lambda partition, expected: partition.append_many([b"v"] * 3, expected_end_offset=expected),
        lambda partition, expected: partition.append_many([b"v"], keys=[b"k"], timestamps=[5], expected_end_offset=expected),
        lambda partition, expected: partition.append_many([b"v" * 99] * 9, compression="gzip", expected_end_offset=expected),
        lambda partition, expected: partition.append_many([], expected_end_offset=expected),
    ],
    ids=["one", "several", "with keys", "compressed", "none"],
)
def test_nothing_is_appended_at_another_offset(partition: Partition, append: Callable[[Partition, int], Any]) -> None:
    partition.append_many([b"a", b"b"])
    for wrong in (0, 1, 3, 2**63 - 1):
        with pytest.raises(ConflictError):
            append(partition, wrong)
        assert partition.end_offset == 2
    append(partition, 2)


def test_an_append_that_needs_a_new_segment_is_still_conditional(partition: Partition) -> None:
    end = 0
    while partition.log.active_segment().base_offset == 0:
        end = partition.append_many([bytes(1000)] * 30, expected_end_offset=end).stop
    with pytest.raises(ConflictError):
        partition.append(bytes(1000), expected_end_offset=end - 1)
    assert partition.append(b"x", expected_end_offset=end) == end


def test_settings_that_were_altered_meanwhile_do_not_count_as_a_conflict(log: EventLog, partition: Partition) -> None:
    partition.append(b"a")
    with eventlog.open(log.path) as other:
        other.alter_topic(stores.TOPIC, config={"compression.type": "gzip"})
    assert partition.append_many([b"v" * 100] * 10, expected_end_offset=1) == range(1, 11)
    with pytest.raises(ConflictError):
        partition.append_many([b"v" * 100] * 10, expected_end_offset=1)


def test_an_offset_that_cannot_be_one_is_refused(partition: Partition) -> None:
    for wrong in (-1, 2**63):
        with pytest.raises(InvalidArgumentError, match="expected_end_offset"):
            partition.append(b"v", expected_end_offset=wrong)
    for wrong_type in ("0", 0.0, True):
        with pytest.raises(InvalidTypeError, match="expected_end_offset"):
            partition.append_many([b"v"], expected_end_offset=wrong_type)  # type: ignore[arg-type]
    assert partition.end_offset == 0


def test_tasks_append_conditionally(tmp_path: Path) -> None:
    async def append() -> list[bytes | None]:
        async with aio.open(tmp_path / "store") as log:
            await log.create_topic(stores.TOPIC)
            partition = log.partition(stores.TOPIC, 0)
            assert await partition.append(b"a", expected_end_offset=0) == 0
            assert await partition.append_many([b"b"], expected_end_offset=1) == range(1, 2)
            outcomes = await asyncio.gather(
                *(partition.append(b"%d" % number, expected_end_offset=2) for number in range(5)), return_exceptions=True
            )
            assert sorted(map(str, map(type, outcomes))) == sorted(map(str, [int] + [ConflictError] * 4))
            with pytest.raises(ConflictError):
                await partition.append_many([b"x"], keys=[b"k"], expected_end_offset=0)
            return [record.value for record in await partition.read(0)]

    assert len(asyncio.run(append())) == 3


def _race(connection: Connection, store: Path, name: bytes) -> None:
    """Append at the end, as long as that is where it was last seen; say at which offsets this succeeded."""
    with eventlog.open(store) as log:
        partition = stores.open_partition(log)
        connection.send(None)
        won = []
        end = 0
        while end < ROUNDS:
            try:
                won.append(partition.append(name, expected_end_offset=end))
                end += 1
            except ConflictError as error:
                assert error.end_offset > end
                end = error.end_offset
        connection.send(won)


def test_of_two_processes_that_race_for_an_offset_one_gets_it(tmp_path: Path) -> None:
    store = tmp_path / "store"
    stores.create(store)
    with eventlog.open(store) as log:
        partition = stores.open_partition(log)
        with Worker(_race, store, b"a") as first, Worker(_race, store, b"b") as second:
            for worker in (first, second):
                worker.receive()
            a, b = first.receive(), second.receive()
        values = list(partition.values(0, ROUNDS))
        assert sorted(a + b) == list(range(ROUNDS)) and partition.end_offset == ROUNDS
        assert [offset for offset, value in enumerate(values) if value == b"a"] == a
