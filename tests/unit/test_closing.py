"""Closing a store: several times, by several threads, from a signal's handler, and what is open until then."""

from __future__ import annotations

import gc
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Empty
from typing import Any

import pytest

import eventlog
from eventlog import ConcurrentUseError, EventLog, RebalanceListener, ThreadStartError
from eventlog.periodic import PeriodicThread
from eventlog.producer.partition_sender import PartitionSender
from eventlog.storage.partition import appender
from eventlog.storage.partition.log import PartitionLog
from eventlog.store import partitions as partitions_module
from tests.support import stores
from tests.support.descriptors import open_files


def between(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, handler: Callable[[], object]) -> None:
    """Have a signal's handler come in between as a function is called, once."""
    original = getattr(owner, name)

    def interrupted(*arguments: Any, **options: Any) -> Any:
        monkeypatch.setattr(owner, name, original)
        handler()
        return original(*arguments, **options)

    monkeypatch.setattr(owner, name, interrupted)


@pytest.mark.parametrize("inside", [(partitions_module, "create_partition"), (appender, "open_file_into")])
def test_a_handler_that_closes_the_store_inside_work_that_holds_a_lock_is_refused_and_nothing_is_closed(
    store: Path, monkeypatch: pytest.MonkeyPatch, inside: tuple[Any, str]
) -> None:
    refused = []
    log = eventlog.open(store, lock_timeout_ms=2000)

    def handler() -> None:
        with pytest.raises(ConcurrentUseError) as raised:
            log.close()
        refused.append(raised.value)

    between(monkeypatch, *inside, handler)
    assert stores.open_partition(log).append(b"x") == 0
    assert len(refused) == 1
    log.close()
    assert not open_files(store)


def test_a_handler_that_opens_a_partition_while_one_is_opened_is_refused(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with eventlog.open(store) as log:
        log.alter_topic(stores.TOPIC, partitions=2)
        refused = []

        def handler() -> None:
            with pytest.raises(ConcurrentUseError) as raised:
                stores.open_partition(log, 1)
            refused.append(raised.value)

        between(monkeypatch, partitions_module, "create_partition", handler)
        assert stores.open_partition(log).append(b"x") == 0
        assert len(refused) == 1


@pytest.mark.parametrize("what", ["producer", "store"])
def test_a_handler_that_closes_inside_a_send_is_refused_and_what_waits_is_appended(
    store: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    with eventlog.open(store) as log:
        producer = log.producer(linger_ms=60_000)
        refused = []

        def handler() -> None:
            with pytest.raises(ConcurrentUseError) as raised:
                (producer if what == "producer" else log).close()
            refused.append(raised.value)

        between(monkeypatch, PartitionSender, "_leave_done", handler)
        producer.send(stores.TOPIC, b"waits")
        assert len(refused) == 1
        producer.close()
        assert list(stores.open_partition(log).values()) == [b"waits"]


@pytest.mark.parametrize("what", ["consumer", "store"])
def test_a_handler_that_closes_while_poll_waits_does_so(store: Path, what: str) -> None:
    closed = []
    with eventlog.open(store) as log:
        consumer = log.consumer(stores.TOPIC, group="readers")
        consumer.poll(0)

        def handler(*_: object) -> None:
            (consumer if what == "consumer" else log).close()
            closed.append(what)

        former = signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        try:
            with pytest.raises(eventlog.StoreClosedError):
                consumer.poll(60.0)
        finally:
            signal.signal(signal.SIGALRM, former)
    assert closed == [what]
    assert not open_files(store)


def test_a_close_inside_a_close_leaves_it_to_the_outer_one(store: Path) -> None:
    log = eventlog.open(store)
    stores.open_partition(log).append(b"x")

    class Closes(RebalanceListener):
        def revoked(self, partitions: object) -> None:
            log.close()

    consumer = log.consumer(stores.TOPIC, group="readers", listener=Closes())
    consumer.poll(1.0)
    log.close()
    assert not open_files(store)


def test_each_of_several_threads_that_close_the_store_returns_when_all_is_closed(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = eventlog.open(store, fsync="never")
    stores.open_partition(log).append(b"x")
    is_inside, may_go_on = threading.Event(), threading.Event()

    def wait() -> None:
        is_inside.set()
        may_go_on.wait()

    between(monkeypatch, PartitionLog, "_release", wait)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(log.close)
        is_inside.wait()
        second = pool.submit(lambda: (log.close(), open_files(store))[1])
        may_go_on.set()
        first.result()
        assert second.result() == []


@pytest.mark.parametrize("step", ["flush", "_release", "_retire"])
def test_a_close_that_was_interrupted_is_done_by_the_next_one(
    store: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    log = eventlog.open(store)
    log.alter_topic(stores.TOPIC, partitions=2)
    for number in range(2):
        stores.open_partition(log, number).append(b"x")
    between(monkeypatch, PartitionLog, step, interrupt)
    with pytest.raises(KeyboardInterrupt):
        log.close()
    log.close()
    assert not open_files(store)
    assert all(segment.stat().st_size < 1000 for number in range(2) for segment in stores.segments(store, number))
    with eventlog.open(store) as log:
        assert [offsets.end_offset for offsets in log.offsets(stores.TOPIC)] == [1, 1]


def test_a_store_that_nobody_has_any_more_keeps_no_thread_and_no_partition_open(store: Path) -> None:
    former = set(threading.enumerate())
    log = eventlog.open(store, fsync_interval_ms=10)
    stores.open_partition(log).append(b"x")
    [flusher] = set(threading.enumerate()) - former
    del log
    gc.collect()
    flusher.join()
    gc.collect()
    assert not [path for path in open_files(store) if "meta" not in path]


# --- what is deleted ---------------------------------------------------------------------------------------


def test_a_deleted_topic_keeps_no_file_open_in_any_process_that_used_it(log: EventLog, store: Path) -> None:
    with eventlog.open(store) as other:
        counts = []
        for number in range(6):
            name = f"reply-{number}"
            log.create_topic(name)
            for each in (log, other):
                each.partition(name, 0).append(b"x")
                each.partition(name, 0).read(0)
            log.delete_topic(name)
            counts.append(len(open_files(store)))
        assert counts[1] == counts[-1]


def test_a_handle_of_a_deleted_topic_tells_so_once_its_files_are_closed(log: EventLog, store: Path) -> None:
    log.alter_topic(stores.TOPIC, partitions=2)
    partition = stores.open_partition(log)
    partition.append(b"x")
    log.delete_topic(stores.TOPIC)
    partition.log.release_old_files()
    assert not [path for path in open_files(store) if "events" in path]
    assert partition.is_deleted
    for call in (lambda: partition.append(b"x"), lambda: partition.read(0), partition.flush, lambda: list(partition.values())):
        with pytest.raises(eventlog.TopicNotFoundError):
            call()
    log.close()
    with pytest.raises(eventlog.StoreClosedError):
        partition.append(b"x")


def test_segments_that_were_deleted_are_not_kept_open_by_a_partition_that_is_idle(log: EventLog, store: Path) -> None:
    log.alter_topic(stores.TOPIC, config={"segment.bytes": 4096})
    idle = stores.open_partition(log)
    idle.append(bytes(1000))
    idle.read(0)
    with eventlog.open(store) as other:
        partition = stores.open_partition(other)
        for _ in range(10):
            partition.append(bytes(1000))
        partition.delete_records(partition.end_offset)
        assert [path for path in open_files(store) if path.endswith("(deleted)")]
        idle.log.release_old_files()
        partition.log.release_old_files()
        assert not [path for path in open_files(store) if path.endswith("(deleted)")]
    assert idle.append(b"x") == 11


def test_a_deleted_group_keeps_no_file_open(log: EventLog, store: Path) -> None:
    counts = []
    for number in range(6):
        log.create_group(f"group-{number}").delete()
        counts.append(len(open_files(store)))
    assert counts[1] == counts[-1]


# --- threads -----------------------------------------------------------------------------------------------


def test_a_round_that_runs_out_of_memory_ends_no_thread(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run_out() -> None:
        raise MemoryError

    with eventlog.open(store, fsync_interval_ms=10) as log:
        partition = stores.open_partition(log)
        between(monkeypatch, PartitionLog, "flush", run_out)
        partition.append(b"x")
        assert partition.wait(0, timeout=60, durable=True)


def test_rounds_that_fail_come_ever_more_seldom_until_one_succeeds() -> None:
    outcomes = [True, False, False, False, False, False, False, True, True]

    class Rounds(PeriodicThread):
        def work(self) -> None:
            if not outcomes.pop(0):
                raise ZeroDivisionError

    class Clock:
        """A queue in which nothing comes until all rounds are done."""

        def __init__(self) -> None:
            self.pauses: list[float] = []

        def get(self, timeout: float) -> None:
            self.pauses.append(timeout)
            if outcomes:
                raise Empty

    rounds: Any = Rounds("rounds", 1000)
    rounds._stops = clock = Clock()
    rounds.run()
    assert clock.pauses == [1, 1, 2, 4, 8, 16, 32, 32, 1, 1]


def test_where_no_thread_can_be_started_nothing_is_left_behind_and_it_works_once_one_can(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as without_threads:
        without_threads.setattr(threading.Thread, "start", refuse)
        with pytest.raises(ThreadStartError, match="eventlog-flusher"):
            eventlog.open(store)
        assert not open_files(store)
    with eventlog.open(store) as log:
        consumer = log.consumer(stores.TOPIC, group="readers")
        with monkeypatch.context() as without_threads:
            without_threads.setattr(threading.Thread, "start", refuse)
            with pytest.raises(ThreadStartError):
                consumer.poll(0)
            with pytest.raises(ThreadStartError):
                log.start_maintenance()
            with pytest.raises(ThreadStartError):
                log.producer(linger_ms=5)
            with pytest.raises(ThreadStartError):
                log.producer().on_ack("readers", print)
        stores.open_partition(log).append(b"x")
        assert [record.value for record in consumer.poll(60.0)] == [b"x"]
        assert len(log.group("readers").describe().members) == 1
        log.start_maintenance()


@pytest.mark.parametrize("stumble", [KeyError("Flusher"), RuntimeError("release unlocked lock")])
def test_an_interrupt_that_threading_trips_over_is_told_and_leaves_nothing_open(
    store: Path, monkeypatch: pytest.MonkeyPatch, stumble: Exception
) -> None:
    def interrupted(_: threading.Thread) -> None:
        try:
            raise KeyboardInterrupt
        finally:
            raise stumble

    monkeypatch.setattr(threading.Thread, "start", interrupted)
    with pytest.raises(KeyboardInterrupt):
        eventlog.open(store)
    assert not open_files(store)
