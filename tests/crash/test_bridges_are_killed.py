"""Bridges between two stores that are killed between each two steps: nothing is lost, nothing is there twice."""

from __future__ import annotations

from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

import eventlog
from eventlog import EventLog
from tests.support.bridges import COLLECT_STEPS, SHIP_STEPS, Step, collect_and_die, ship_and_die
from tests.support.processes import Worker

TOPIC = "orders"
PARTITIONS = 2
RECORDS = 45  # a round and a partition: several windows


@pytest.fixture
def stores(tmp_path: Path) -> tuple[Path, Path]:
    for name in ("from", "to"):
        with eventlog.open(tmp_path / name) as log:
            log.create_topic(TOPIC, PARTITIONS)
    return tmp_path / "from", tmp_path / "to"


def append_round(store: Path, number: int) -> None:
    with eventlog.open(store) as log:
        for partition in range(PARTITIONS):
            log.partition(TOPIC, partition).append_many([b"%d-%d" % (number, each) for each in range(RECORDS)])


def values(log: EventLog) -> list[list[bytes | None]]:
    return [list(log.partition(TOPIC, number).values()) for number in range(PARTITIONS)]


def kill_at_each(
    steps: list[Step], stores: tuple[Path, Path], role: Callable[[Connection, Path, str, str, Step | None], None],
    *arguments: Any,
) -> None:  # fmt: skip
    source, target = stores
    for number, step in enumerate([*steps, None]):
        append_round(source, number)
        with Worker(role, *arguments, step) as worker:
            if step is None:
                assert worker.receive() == "done"
            else:
                assert worker.exit_status == -9, f"it did not come to {step}"
    with eventlog.open(source) as first, eventlog.open(target) as second:
        assert values(second) == values(first)


def test_a_ship_that_is_killed_between_each_two_steps_loses_nothing_and_sends_nothing_twice(
    stores: tuple[Path, Path],
) -> None:
    kill_at_each(SHIP_STEPS, stores, ship_and_die, stores[0], TOPIC, f"eventlog:{stores[1]}#{TOPIC}")


def test_a_collecting_bridge_that_is_killed_between_each_two_steps_loses_nothing_and_appends_nothing_twice(
    stores: tuple[Path, Path],
) -> None:
    kill_at_each(COLLECT_STEPS, stores, collect_and_die, stores[1], TOPIC, f"eventlog:{stores[0]}#{TOPIC}")


def test_two_bridges_that_do_not_know_of_each_other_append_each_record_once(stores: tuple[Path, Path]) -> None:
    append_round(stores[0], 0)
    source, target = f"eventlog:{stores[0]}#{TOPIC}", f"eventlog:{stores[1]}#{TOPIC}"
    with (
        Worker(ship_and_die, stores[0], TOPIC, target, None) as first,
        Worker(collect_and_die, stores[1], TOPIC, source, None) as second,
        Worker(collect_and_die, stores[1], TOPIC, f"eventlog:{stores[0]}?group=others#{TOPIC}", None) as third,
    ):
        assert [each.receive() for each in (first, second, third)] == ["done"] * 3
    with eventlog.open(stores[0]) as log, eventlog.open(stores[1]) as other:
        assert values(other) == values(log)
