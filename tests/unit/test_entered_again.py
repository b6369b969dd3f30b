"""What is in the middle of making objects is entered once more: by code that the garbage collector runs, or by another thread.

Up to Python 3.11 the collector runs inside the allocation itself; later ones run it between two steps of Python code."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import eventlog
from eventlog import ConcurrentUseError
from tests.support import stores

_COUNT = 200
_HEADERS = 29  # of tuples of this length the interpreter keeps no free ones: each is allocated


def _headers(number: int) -> list[tuple[str, bytes | None]]:
    return [(f"name {at}", b"%08d" % number * 16) for at in range(_HEADERS)]


@pytest.fixture
def log(tmp_path: Path) -> Iterator[eventlog.EventLog]:
    stores.create(tmp_path / "store")
    with eventlog.open(tmp_path / "store") as log:
        partition = stores.open_partition(log)
        for number in range(_COUNT):
            partition.append(b"%d" % number, headers=_headers(number), timestamp=number)
        yield log


@contextmanager
def _at_each_collection(work: Callable[[], object]) -> Iterator[list[BaseException]]:
    """Run something whenever the collector runs, which is all the time; yields what it has raised."""
    raised: list[BaseException] = []
    is_running = False

    def run(*_: object) -> None:
        nonlocal is_running
        if not is_running:
            is_running = True
            try:
                work()
            except Exception as error:
                raised.append(error)
            finally:
                is_running = False

    threshold = gc.get_threshold()
    gc.callbacks.append(run)
    gc.set_threshold(1)
    try:
        yield raised
    finally:
        gc.set_threshold(*threshold)
        gc.callbacks.remove(run)


def _check(record: eventlog.Record) -> None:
    assert record.value == b"%d" % record.offset
    assert record.timestamp == record.offset
    assert record.headers == tuple(_headers(record.offset))


def test_an_iterator_that_a_finalizer_goes_on_with_makes_no_record_of_anothers_bytes(log: eventlog.EventLog) -> None:
    records = stores.open_partition(log).records()
    with _at_each_collection(lambda: [next(records, None) for _ in range(60)]) as raised:
        record = next(records)
    _check(record)
    assert all(isinstance(error, ConcurrentUseError) for error in raised)
    for record in records:  # it goes on as if nothing had happened
        _check(record)


def test_an_iterator_outlives_a_larger_batch_that_a_finalizer_asks_for(log: eventlog.EventLog) -> None:
    partition = stores.open_partition(log)
    first = partition.append(b"%d" % _COUNT, headers=_headers(_COUNT), timestamp=_COUNT)
    partition.append(bytes(600_000))  # needs a buffer of its own, and the old one is freed
    records = partition.records(first)
    with _at_each_collection(lambda: next(records)):
        record = next(records)
    _check(record)


def test_a_consumer_that_a_finalizer_polls_hands_out_what_was_written(log: eventlog.EventLog) -> None:
    handed_out: list[eventlog.Record] = []
    with log.consumer(stores.TOPIC) as consumer:
        consumer.poll(0, max_records=1)
        with _at_each_collection(lambda: handed_out.extend(consumer.poll(0, max_records=7))) as raised:
            handed_out += consumer.poll(0, max_records=50)
    for record in handed_out:
        _check(record)
    assert all(isinstance(error, ConcurrentUseError) for error in raised)


def test_reads_and_searches_in_a_finalizer_disturb_none(log: eventlog.EventLog) -> None:
    partition = stores.open_partition(log)
    with _at_each_collection(lambda: [_check(record) for record in partition.read(50, 5)]) as raised:
        read = partition.read(0, 20)
        found = list(partition.search(b"1", 0, 40))
        read += list(partition.records(30, 40))
    for record in [*read, *found]:
        _check(record)
    assert not raised
