"""What a signal's handler raises inside a consumer takes no record away, and has none handed out twice."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import eventlog
from eventlog import Consumer, EventLog, TopicPartition

TOPIC = "jobs"
COUNT = 6


class Interrupt(BaseException):
    pass


@pytest.fixture
def log(tmp_path: Path) -> Iterator[EventLog]:
    with eventlog.open(tmp_path / "store", fsync="never") as opened:
        opened.create_topic(TOPIC)
        opened.partition(TOPIC, 0).append_many([b"%d" % number for number in range(COUNT)])
        yield opened


@contextmanager
def interrupted_at(number: int) -> Iterator[list[str]]:
    """Raise `Interrupt` in the library at this of all moments at which a signal's handler can run: when a function begins, or
    has returned. What is yielded has the function's name then."""
    come = 0
    interrupted: list[str] = []

    def run_handler(frame: FrameType, event: str, _: Any) -> None:
        nonlocal come
        is_generator = frame.f_code.co_flags & inspect.CO_GENERATOR  # whose yields and end are told as calls and returns
        is_with_caller = event == "return" and frame.f_back is not None and __file__ == frame.f_back.f_code.co_filename
        if "/eventlog/consumer/" not in frame.f_code.co_filename or event == "c_call" or is_generator or is_with_caller:
            return
        come += 1
        if come == number:
            sys.setprofile(None)
            interrupted.append(f"{frame.f_code.co_name}, {event}")
            raise Interrupt

    sys.setprofile(run_handler)
    try:
        yield interrupted
    finally:
        sys.setprofile(None)


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
            with suppress(Interrupt), interrupted_at(number) as interrupted:
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
            with suppress(Interrupt), interrupted_at(number) as interrupted:
                poll(consumer, found)
            position = consumer.position(place)
            consumer.commit()
            assert (position, consumer.committed(place) or 0) == (len(found), len(found)), interrupted
            if not interrupted:
                return
