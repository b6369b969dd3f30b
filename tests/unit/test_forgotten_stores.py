"""Stores and producers that nobody has closed or refers to any more: their threads and files end, and a warning says so."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable
from pathlib import Path

import pytest

import eventlog
from eventlog import EventLog
from tests.support import stores
from tests.support.descriptors import open_files
from tests.support.stores import TOPIC


def append(log: EventLog) -> None:
    stores.open_partition(log).append(b"x")


def look_at_a_group(log: EventLog) -> None:
    log.create_group("billing").committed()


def consume(log: EventLog) -> None:
    with log.consumer(TOPIC, group="billing") as consumer:
        consumer.poll(0)


def send(log: EventLog) -> None:
    log.producer().send(TOPIC, b"x")


def send_and_wait(log: EventLog) -> None:
    log.producer(linger_ms=1).send(TOPIC, b"x")


def use_and_forget(store: Path, use: Callable[[EventLog], None]) -> weakref.ref[object]:
    log = eventlog.open(store, fsync_interval_ms=600_000)
    use(log)
    return weakref.ref(log.store)


@pytest.mark.parametrize("use", [append, look_at_a_group, consume, send, send_and_wait])
def test_a_store_that_nobody_has_any_more_lets_go_of_everything_and_says_so(
    store: Path, use: Callable[[EventLog], None]
) -> None:
    before = set(threading.enumerate())
    with pytest.warns(ResourceWarning, match=f"unclosed <EventLog {store}>: nobody refers to it"):
        forgotten = use_and_forget(store, use)
        while forgotten() is not None:  # a thread that is at work just then refers to it
            gc.collect()
    for thread in set(threading.enumerate()) - before:
        thread.join()
    assert open_files(store) == []


def test_what_waits_in_a_producer_that_nobody_has_any_more_is_appended(store: Path) -> None:
    with eventlog.open(store) as log:
        partition = stores.open_partition(log)
        log.producer(linger_ms=200).send(TOPIC, b"x")
        gc.collect()
        assert partition.wait(0, 30)
        assert [record.value for record in stores.everything(partition)] == [b"x"]
