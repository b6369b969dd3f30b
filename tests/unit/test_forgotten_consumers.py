"""A consumer that is forgotten without a close leaves its group once it is collected, and a `ResourceWarning` says so."""

from __future__ import annotations

import gc
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import eventlog
from eventlog import EventLog, Record

TOPIC = "events"
GROUP = "group"
PARTITIONS = 4


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def log(store: Path) -> Iterator[EventLog]:
    with eventlog.open(store) as opened:
        opened.create_topic(TOPIC, partitions=PARTITIONS)
        yield opened


def fill(log: EventLog, count: int = 10) -> None:
    for number in range(PARTITIONS):
        log.partition(TOPIC, number).append_many([b"%d" % sequence for sequence in range(count)])


def test_a_member_whose_consumer_was_forgotten_gives_its_partitions_up_and_commits_nothing(log: EventLog) -> None:
    fill(log)
    forgotten = log.consumer(TOPIC, group=GROUP, auto_commit=True)
    assert len(forgotten.poll(max_records=15)) == 15
    with log.consumer(TOPIC, group=GROUP) as other:
        with pytest.warns(ResourceWarning, match="unclosed <Consumer.* in group"):
            del forgotten
            gc.collect()
        found = 0
        while found < 10 * PARTITIONS:
            found += len(other.poll(timeout=None, max_records=1000))
        assert len(log.group(GROUP).describe().members) == 1


def test_an_iterator_keeps_its_consumer_in_the_group_and_its_end_ends_that_at_once(log: EventLog) -> None:
    fill(log)
    records = iter(log.consumer(TOPIC, group=GROUP))
    next(records)
    gc.collect()
    assert len(log.group(GROUP).describe().members) == 1
    next(records)
    gc.disable()
    try:
        with pytest.warns(ResourceWarning, match="unclosed <Consumer.* in group"):
            del records
    finally:
        gc.enable()


def test_consumers_that_are_forgotten_one_after_the_other_are_in_nobodys_way(log: EventLog) -> None:
    fill(log)

    def run_a_cell() -> list[Record]:
        consumer = log.consumer(TOPIC, group=GROUP)
        return consumer.poll(timeout=None, max_records=3)

    with pytest.warns(ResourceWarning, match="unclosed"):
        for _ in range(3):
            assert len(run_a_cell()) == 3
            gc.collect()


def test_a_consumer_that_is_forgotten_in_a_cycle_while_the_catalog_is_changed_stops_nobody(log: EventLog) -> None:
    """The collector finds it inside a transaction, whose locks this thread has."""
    consumer = log.consumer(TOPIC, group=GROUP)
    consumer.poll(timeout=0)
    cycle: list[Any] = [consumer]
    cycle.append(cycle)
    del consumer
    with pytest.warns(ResourceWarning, match="unclosed"), log.store.catalog.groups.change(GROUP):
        del cycle
        gc.collect()
    with log.consumer(TOPIC, group=GROUP) as other:
        while len(other.assignment()) < PARTITIONS:
            other.poll(timeout=0.1)


def test_nothing_is_said_of_consumers_that_were_closed_with_their_store_or_belong_to_no_group(
    store: Path, log: EventLog, recwarn: pytest.WarningsRecorder
) -> None:
    alone = log.consumer(TOPIC)
    alone.poll(timeout=0)
    del alone
    with eventlog.open(store) as other:
        consumer = other.consumer(TOPIC, group=GROUP)
        consumer.poll(timeout=0)
    del consumer
    gc.collect()
    assert not recwarn.list


@pytest.mark.parametrize("closes", [False, True])
def test_a_store_that_is_open_when_the_program_ends_is_closed_and_named(store: Path, closes: bool) -> None:
    program = f"""
import eventlog
log = eventlog.open({str(store)!r})
log.create_topic("events")
log.partition("events", 0).append(b"x")
{"log.close()" if closes else ""}
"""
    ended = subprocess.run([sys.executable, "-W", "always", "-c", program], capture_output=True, text=True, check=True)
    assert ("ResourceWarning: unclosed <EventLog" in ended.stderr) == (not closes)
    with eventlog.open(store) as log:
        assert log.partition("events", 0).end_offset == 1
