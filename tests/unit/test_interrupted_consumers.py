"""What a signal's handler raises inside a consumer takes no record away, and has none handed out twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path

import pytest

import eventlog
from eventlog import Consumer, EventLog, TopicPartition
from tests.support.interrupts import Interrupt, interrupted_at

TOPIC = "jobs"
COUNT = 6


@pytest.fixture
def log(tmp_path: Path) -> Iterator[EventLog]:
    with eventlog.open(tmp_path / "store", fsync="never") as opened:
        opened.create_topic(TOPIC)
        opened.partition(TOPIC, 0).append_many([b"%d" % number for number in range(COUNT)])
        yield opened


def iterate(consumer: Consumer, found: list[int]) -> None:
    for record in consumer:
        found.append(record.offset)
        if record.offset == COUNT - 1:
            break


def iterate_alternately(consumer: Consumer, found: list[int]) -> None:
    """Each iterator takes over what the other one has read and not handed out."""
    iterators = iter(consumer), iter(consumer)
    while not found or found[-1] < COUNT - 1:
        found.append(next(iterators[len(found) % 2]).offset)


def poll(consumer: Consumer, found: list[int]) -> None:
    while not found or found[-1] < COUNT - 1:
        found += [record.offset for record in consumer.poll(timeout=0, max_records=2)]


@pytest.mark.parametrize("use", [iterate, iterate_alternately, poll])
def test_an_interrupt_anywhere_takes_no_record_away(
    log: EventLog, use: Callable[[Consumer, list[int]], None]
) -> None:
    for number in count(1):
        with log.consumer(TOPIC) as consumer:
            found: list[int] = []
            with suppress(Interrupt), interrupted_at(number, "consumer") as interrupted:
                use(consumer, found)
            if not interrupted:
                assert number > COUNT
                return
            found += [record.offset for record in consumer.poll(timeout=0)]
            assert found == list(range(COUNT)), interrupted


def test_a_commit_after_an_interrupted_poll_commits_what_was_returned_and_no_more(log: EventLog) -> None:
    place = TopicPartition(TOPIC, 0)
    for number in count(1):
        with log.consumer(group=f"workers-{number}") as consumer:
            consumer.assign([place])
            found: list[int] = []
            with suppress(Interrupt), interrupted_at(number, "consumer") as interrupted:
                poll(consumer, found)
            position = consumer.position(place)
            consumer.commit()
            assert (position, consumer.committed(place) or 0) == (len(found), len(found)), interrupted
            if not interrupted:
                return
