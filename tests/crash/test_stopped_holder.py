"""A process is stopped, or dies, while it holds a mutex of the partition."""

from __future__ import annotations

import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NoReturn

import pytest

import eventlog
from eventlog import LockTimeoutError, StoreClosedError
from eventlog.access import open_file_into
from eventlog.storage.partition import appender
from tests.support import heads, kafka_format, stores, workers
from tests.support.processes import Interpreter

_LOCK_TIMEOUT_MS = 200


@pytest.mark.parametrize(("mutex", "fsync"), [("append", "never"), ("append", "always"), ("flush", "always")])
def test_a_stopped_holder_is_named_and_appends_go_on_when_it_continues(store: Path, mutex: str, fsync: str) -> None:
    with (
        eventlog.open(store, fsync=fsync, lock_timeout_ms=_LOCK_TIMEOUT_MS) as log,
        Interpreter(workers.append_when_told, store, {"fsync": fsync, "lock_timeout_ms": 60_000}) as patient,
    ):
        assert patient.receive() == "ready"
        partition = stores.open_partition(log)
        partition.append(b"attached")
        patient.send(b"attached")
        patient.receive()
        holder = Interpreter(workers.hold_mutex, store, mutex)
        assert holder.receive() == "held"
        holder.stop()
        for _ in range(2):
            with pytest.raises(LockTimeoutError, match=rf"\b{holder.pid}\b"):
                partition.append(b"in vain")
        patient.send(b"patient")
        assert partition.read(0)[0].value == b"attached", "readers need no mutex"
        assert not patient.connection.poll(0.1), "an append went past the mutex"
        holder.resume()
        holder.send("give it back")
        assert holder.receive() == "given back"
        offset, durable_offset = patient.receive()
        assert partition.read(offset)[0].value == b"patient"
        assert durable_offset > offset or fsync == "never"
        assert partition.append(b"on it goes") == partition.end_offset - 1
        holder.kill()


@pytest.mark.parametrize("mutex", ["append", "flush"])
def test_a_holder_killed_with_the_mutex_is_no_obstacle(store: Path, mutex: str) -> None:
    with eventlog.open(store, fsync="always", lock_timeout_ms=_LOCK_TIMEOUT_MS) as log:
        partition = stores.open_partition(log)
        partition.append(b"before")
        with Interpreter(workers.hold_mutex, store, mutex) as holder:
            assert holder.receive() == "held"
            holder.stop()
            holder.kill()
        assert partition.append(b"after") == 1
        assert list(partition.values()) == [b"before", b"after"]


def test_a_handler_that_raises_as_a_roll_begins_leaves_no_mutex_behind(tmp_path: Path) -> None:
    store = tmp_path / "store"
    stores.create(store, segment_bytes=1024)
    with (
        eventlog.open(store, fsync="never") as log,
        Interpreter(workers.hold_mutex, store, "flush") as holder,
        ThreadPoolExecutor(1) as pool,
    ):
        partition = stores.open_partition(log)
        partition.append(bytes(600))
        assert holder.receive() == "held"
        alarmed, noted = os.pipe()
        os.set_blocking(noted, False)
        former = signal.signal(signal.SIGALRM, _raise), signal.set_wakeup_fd(noted)
        try:
            giving_back = pool.submit(lambda: (os.read(alarmed, 1), holder.send("give it back")))
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            with pytest.raises(ZeroDivisionError):
                partition.append(bytes(600))  # asks for a roll, and waits for the mutex when the signal comes
            giving_back.result()
        finally:
            signal.signal(signal.SIGALRM, former[0])
            signal.set_wakeup_fd(former[1])
            os.close(alarmed)
            os.close(noted)
        assert holder.receive() == "given back"
        pool.submit(partition.flush).result()
        assert partition.append(bytes(600)) == 1


def _raise(*_: object) -> NoReturn:
    raise ZeroDivisionError


def test_a_thread_that_is_at_work_on_segments_when_they_are_closed_leaves_no_mutex_behind(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with eventlog.open(store, fsync="never", lock_timeout_ms=_LOCK_TIMEOUT_MS) as log, ThreadPoolExecutor(1) as pool:
        partition = stores.open_partition(log)
        partition.append(b"before")
        other = eventlog.open(store, fsync="never", lock_timeout_ms=_LOCK_TIMEOUT_MS)
        is_inside, may_go_on = threading.Event(), threading.Event()

        def open_late(file: Any, path: Path) -> None:
            is_inside.set()
            may_go_on.wait()
            open_file_into(file, path)

        monkeypatch.setattr(appender, "open_file_into", open_late)
        appending = pool.submit(stores.open_partition(other).append, b"late")
        is_inside.wait()
        other.close()
        may_go_on.set()
        with pytest.raises(StoreClosedError):
            appending.result()
        monkeypatch.undo()
        partition.flush()
        assert partition.append(b"after") == 1


@pytest.mark.parametrize("next_is_complete", [True, False])
def test_a_writer_killed_between_two_stores_of_an_append_leaves_all_of_it_or_nothing(
    store: Path, next_is_complete: bool
) -> None:
    with eventlog.open(store, fsync="never", lock_timeout_ms=_LOCK_TIMEOUT_MS) as log:
        partition = stores.open_partition(log)
        partition.append(b"first record")
        segment = stores.segments(store)[0]
        batch = bytearray(segment.read_bytes()[: heads.MappedHead(stores.head_file(store)).state.tail.position])
        batch[7] += 1  # the base offset of the copy
        with Interpreter(workers.die_inside_append, store, next_is_complete, segment, bytes(batch)) as writer:
            assert writer.receive() == "dying"
            assert writer.exit_status != 0
        expected = [b"first record"] * (2 if next_is_complete else 1)
        assert partition.append(b"next") == len(expected)
        assert list(partition.values()) == [*expected, b"next"]
    assert [batch.base_offset for batch in kafka_format.parse_log(segment)] == list(range(len(expected) + 1))


def test_a_process_that_is_stopped_inside_a_change_of_the_catalog_stops_others_for_a_bounded_time(store: Path) -> None:
    with eventlog.open(store, lock_timeout_ms=_LOCK_TIMEOUT_MS) as log:
        partition = stores.open_partition(log)
        with Interpreter(workers.hold_catalog, store) as holder:
            assert holder.receive() == "held"
            holder.stop()
            with pytest.raises(LockTimeoutError, match=rf"\b{holder.pid}\b"):
                log.create_topic("too-early")
            with pytest.raises(LockTimeoutError, match=rf"\b{holder.pid}\b"):
                eventlog.open(store, lock_timeout_ms=_LOCK_TIMEOUT_MS)
            assert log.topics() == [stores.TOPIC], "reading the catalog needs no gate"
            assert partition.append(b"nor does an append") == 0
            holder.resume()
            holder.send("give it back")
            holder.join()
        log.create_topic("after")


def test_a_process_that_is_killed_inside_a_change_of_the_catalog_is_no_obstacle(store: Path) -> None:
    with eventlog.open(store, lock_timeout_ms=_LOCK_TIMEOUT_MS) as log:
        with Interpreter(workers.hold_catalog, store) as holder:
            assert holder.receive() == "held"
            holder.kill()
        log.create_topic("after")
        with eventlog.open(store, lock_timeout_ms=_LOCK_TIMEOUT_MS) as other:
            assert other.topics() == ["after", stores.TOPIC]


def test_a_first_opener_that_is_stopped_stops_others_for_a_bounded_time(store: Path) -> None:
    with Interpreter(workers.hold_head_alone, store) as holder:
        assert holder.receive() == "held"
        holder.stop()
        with (
            eventlog.open(store, lock_timeout_ms=_LOCK_TIMEOUT_MS) as log,
            pytest.raises(LockTimeoutError, match=rf"\b{holder.pid}\b"),
        ):
            stores.open_partition(log)
        holder.kill()
        with eventlog.open(store, lock_timeout_ms=_LOCK_TIMEOUT_MS) as log:
            assert stores.open_partition(log).append(b"after") == 0


def test_a_first_opener_that_is_stopped_stops_the_deletion_of_the_topic_for_a_bounded_time(store: Path) -> None:
    with Interpreter(workers.hold_head_alone, store) as holder:
        assert holder.receive() == "held"
        holder.stop()
        with eventlog.open(store, lock_timeout_ms=_LOCK_TIMEOUT_MS) as log:
            with pytest.raises(LockTimeoutError, match=rf"\b{holder.pid}\b"):
                log.delete_topic(stores.TOPIC)
            assert log.topics() == []
            holder.kill()
            assert log.maintain().failures == []
            assert not stores.partition_directory(store).exists()
