"""wait(): true once something is there, false when time runs out, and asleep in between."""

from __future__ import annotations

import threading
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

import eventlog
from eventlog import EventLog, InvalidTypeError, Partition, StoreClosedError
from tests.support import heads, stores, workers
from tests.support.processes import Worker

_CPU_SECONDS_MAX = 0.2


def test_waiting_for_an_offset_that_is_there_returns_at_once(partition: Partition) -> None:
    partition.append(b"a")
    assert partition.wait(0) is True
    assert partition.wait(0, timeout=0) is True


def test_waiting_for_nothing_returns_false_after_the_timeout(partition: Partition) -> None:
    partition.append(b"a")
    assert partition.wait(1, timeout=0) is False
    assert partition.wait(1, timeout=0.05) is False
    assert partition.wait(100, timeout=0.05) is False


def test_a_thread_that_waits_is_woken_by_an_append(partition: Partition) -> None:
    results: list[bool] = []
    thread = threading.Thread(target=lambda: results.append(partition.wait(2)))
    thread.start()
    partition.append(b"a")
    partition.append_many([b"b", b"c"])
    thread.join(30)
    assert results == [True]


def test_a_process_that_waits_is_woken_by_an_append(store: Path, partition: Partition) -> None:
    with Worker(workers.wait_for, store, 1, None) as waiter:
        assert waiter.receive() == "waiting"
        partition.append(b"a")
        assert not waiter.connection.poll(0.3), "woken although offset 1 was not there yet"
        partition.append(b"b")
        assert waiter.receive()[0] is True


def test_waiting_for_durable_records_ignores_those_that_are_not(tmp_path: Path) -> None:
    stores.create(tmp_path / "store")
    with eventlog.open(tmp_path / "store", fsync="never") as log:
        partition = stores.open_partition(log)
        partition.append(b"a")
        assert partition.wait(0, timeout=0.05, durable=True) is False
        thread = threading.Thread(target=partition.wait, args=(0,), kwargs={"durable": True})
        thread.start()
        partition.flush()
        thread.join(30)
        assert not thread.is_alive()


def test_idle_waiting_costs_no_cpu(store: Path) -> None:
    with Worker(workers.wait_for, store, 0, 3.0) as waiter:
        assert waiter.receive() == "waiting"
        result, cpu_seconds = waiter.receive()
        assert result is False
        assert cpu_seconds < _CPU_SECONDS_MAX, f"{cpu_seconds} s of CPU time for 3 s of waiting"


def test_a_kept_wait_is_refused_once_the_store_is_closed(log: EventLog, partition: Partition) -> None:
    partition.append(b"a")
    wait = partition.wait
    log.close()
    for offset in (0, 1):
        with pytest.raises(StoreClosedError):
            wait(offset)


def test_closing_the_store_ends_the_waits_of_other_threads(store: Path) -> None:
    with Worker(_close_while_waiting, store) as worker:
        assert worker.receive() == StoreClosedError.__name__


def _close_while_waiting(connection: Connection, store: Path) -> None:
    log = eventlog.open(store)
    partition = stores.open_partition(log)
    outcome: list[str] = []

    def wait() -> None:
        try:
            outcome.append(str(partition.wait(0)))
        except StoreClosedError as error:
            outcome.append(type(error).__name__)

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    head = heads.MappedHead(stores.head_file(store))
    while not head.state.bells:
        pass  # until the thread is inside the native wait
    log.close()
    thread.join(30)
    connection.send(outcome[0] if outcome else "still waiting")


@pytest.mark.parametrize("timeout", ["1", b"1", [1]])
def test_a_timeout_that_is_no_number_is_refused(partition: Partition, timeout: object) -> None:
    with pytest.raises(InvalidTypeError, match="timeout"):
        partition.wait(0, timeout=timeout)  # type: ignore[arg-type]


def test_waiters_of_every_process_are_woken_by_one_append(log: EventLog, store: Path) -> None:
    waiters = [Worker(workers.wait_for, store, 0, None) for _ in range(3)]
    try:
        assert [waiter.receive() for waiter in waiters] == ["waiting"] * 3
        stores.open_partition(log).append(b"a")
        assert [waiter.receive()[0] for waiter in waiters] == [True] * 3
    finally:
        for waiter in waiters:
            waiter.kill()
