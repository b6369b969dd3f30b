"""Consumers that other threads or signal handlers wake up or stop."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import eventlog
import eventlog.aio
from eventlog import EventLog, TopicPartition, WakeupError
from tests.support import stores
from tests.support.stores import TOPIC

PARTITION = TopicPartition(TOPIC, 0)
GROUPS = pytest.mark.parametrize("group", [None, "workers"])
COUNT = 1200  # more than are fetched at once


@pytest.fixture
def full(log: EventLog) -> EventLog:
    stores.open_partition(log).append_many([b"%d" % number for number in range(COUNT)])
    return log


@contextmanager
def meanwhile(work: Callable[[], object]) -> Iterator[None]:
    """Another thread does this at some moment from now on."""
    thread = threading.Thread(target=work)
    thread.start()
    yield
    thread.join()


@GROUPS
def test_a_poll_that_waits_is_woken(log: EventLog, group: str | None) -> None:
    with log.consumer(TOPIC, group=group) as consumer:
        with meanwhile(consumer.wakeup), pytest.raises(WakeupError):
            consumer.poll(timeout=None)
        stores.open_partition(log).append(b"after it")
        assert [record.value for record in consumer.poll(timeout=60)] == [b"after it"]


@GROUPS
def test_a_wakeup_before_a_poll_is_raised_by_it_once_and_loses_nothing(full: EventLog, group: str | None) -> None:
    with full.consumer(TOPIC, group=group) as consumer:
        consumer.wakeup()
        consumer.wakeup()
        with pytest.raises(WakeupError):
            consumer.poll(timeout=0)
        found: list[bytes | None] = []
        while records := consumer.poll(timeout=0):
            found += [record.value for record in records]
    assert found == [b"%d" % number for number in range(COUNT)]


def test_what_was_polled_before_a_wakeup_is_finished(full: EventLog) -> None:
    with full.consumer(TOPIC, group="workers", auto_commit=True, auto_commit_interval_ms=1) as consumer:
        assert len(consumer.poll(max_records=10)) == 10
        consumer.wakeup()
        with pytest.raises(WakeupError):
            consumer.poll()
    assert full.group("workers").committed() == {PARTITION: 10}


@GROUPS
def test_an_iteration_that_waits_is_woken_and_another_one_goes_on(log: EventLog, group: str | None) -> None:
    with log.consumer(TOPIC, group=group) as consumer:
        with meanwhile(consumer.wakeup), pytest.raises(WakeupError):
            next(iter(consumer))
        stores.open_partition(log).append(b"after it")
        assert next(iter(consumer)).value == b"after it"


@GROUPS
def test_a_wakeup_within_an_iteration_loses_no_record_and_repeats_none(full: EventLog, group: str | None) -> None:
    found = []
    with full.consumer(TOPIC, group=group) as consumer:
        while len(found) < COUNT:
            try:
                for record in consumer:
                    found.append(record.offset)
                    if record.offset % 70 == 69:
                        consumer.wakeup()
                    if len(found) == COUNT:
                        break
            except WakeupError:
                assert found[-1] % 70 == 69
    assert found == list(range(COUNT))


@GROUPS
def test_an_iteration_ends_after_the_record_in_hand(full: EventLog, group: str | None) -> None:
    found = []
    with full.consumer(TOPIC, group=group, auto_commit=group is not None, auto_commit_interval_ms=1) as consumer:
        for record in consumer:
            found.append(record.offset)
            if len(found) == 7:
                assert not consumer.is_stopped
                consumer.stop()
        assert consumer.is_stopped
        assert consumer.poll(timeout=None) == []
        assert list(consumer) == []
        assert consumer.position(PARTITION) == 7
    assert found == list(range(7))
    if group is not None:
        assert full.group(group).committed() == {PARTITION: 7}


@GROUPS
@pytest.mark.parametrize("way", ["poll", "iterate"])
def test_a_consumer_that_waits_is_stopped(log: EventLog, group: str | None, way: str) -> None:
    with log.consumer(TOPIC, group=group) as consumer, meanwhile(consumer.stop):
        assert (consumer.poll(timeout=None) if way == "poll" else list(consumer)) == []


def test_one_that_was_stopped_before_its_first_poll_joins_nothing(full: EventLog) -> None:
    with full.consumer(TOPIC, group="workers") as consumer:
        consumer.stop()
        assert consumer.poll() == []
    assert full.groups() == []


def test_a_consumer_that_was_stopped_gives_its_partitions_to_others(full: EventLog) -> None:
    with full.consumer(TOPIC, group="workers") as first, full.consumer(TOPIC, group="workers") as second:
        for record in first:
            if record.offset == 4:
                first.commit()
                first.stop()
        first.close()
        assert second.poll(timeout=60)[0].offset == 5


@pytest.mark.parametrize("how", ["stop", "wakeup"])
def test_a_signal_handler_may_do_so_anywhere(full: EventLog, how: str) -> None:
    consumer = full.consumer(TOPIC, group="workers")
    before = signal.signal(signal.SIGUSR1, lambda *_: getattr(consumer, how)())
    timer = threading.Thread(target=lambda: signal.pthread_kill(main, signal.SIGUSR1))
    main = threading.get_ident()
    found: list[int] = []
    try:
        with consumer:
            for record in consumer:
                found.append(record.offset)
                if record.offset == COUNT - 1:  # the next one is waited for
                    timer.start()
    except WakeupError:
        assert how == "wakeup"
    else:
        assert how == "stop"
    finally:
        signal.signal(signal.SIGUSR1, before)
        timer.join()
    assert found == list(range(COUNT))


def test_stopping_one_that_is_closed_does_nothing(log: EventLog) -> None:
    consumer = log.consumer(TOPIC)
    consumer.close()
    consumer.stop()
    consumer.wakeup()
    assert consumer.is_stopped


def collected(store: Path, ask: Callable[[eventlog.aio.AsyncConsumer], object], way: str) -> list[int]:
    """The offsets that a task gets until it has asked for an end after the seventh record, or while it waits."""

    async def consume() -> list[int]:
        async with eventlog.aio.open(store) as log, log.consumer(TOPIC, group="workers") as consumer:
            found: list[int] = []
            try:
                if way == "iterate":
                    async for record in consumer:
                        found.append(record.offset)
                        if len(found) == 7:
                            ask(consumer)
                else:
                    asyncio.get_running_loop().call_soon(ask, consumer)
                    while records := await consumer.poll(timeout=None):
                        found += [record.offset for record in records]
            except WakeupError:
                found.append(-1)
            return found

    return asyncio.run(consume())


def test_a_task_that_iterates_is_stopped_after_the_record_in_hand(full: EventLog) -> None:
    assert collected(full.path, lambda consumer: consumer.stop(), "iterate") == list(range(7))


def test_a_task_that_iterates_is_woken(full: EventLog) -> None:
    assert collected(full.path, lambda consumer: consumer.wakeup(), "iterate") == [*range(7), -1]


def test_a_task_that_waits_is_stopped(log: EventLog) -> None:
    assert collected(log.path, lambda consumer: consumer.stop(), "poll") == []


def test_a_task_that_waits_is_woken(log: EventLog) -> None:
    assert collected(log.path, lambda consumer: consumer.wakeup(), "poll") == [-1]


def test_a_task_that_waits_in_an_iteration_is_stopped_by_a_thread(log: EventLog) -> None:
    async def consume() -> list[int]:
        async with eventlog.aio.open(log.path) as tasks, tasks.consumer(TOPIC) as consumer:
            thread = threading.Thread(target=consumer.stop)
            asyncio.get_running_loop().call_soon(thread.start)
            found = [record.offset async for record in consumer]
            thread.join()
            assert consumer.is_stopped
            return found

    assert asyncio.run(consume()) == []


