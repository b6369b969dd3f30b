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
from eventlog import Consumer, EventLog

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
        if "/eventlog/consumer/" not in frame.f_code.co_filename or event == "c_call" or is_generator:
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


@pytest.mark.parametrize("use", [iterate, iterate_alternately])
def test_an_interrupt_anywhere_in_iteration_takes_no_record_away(
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
