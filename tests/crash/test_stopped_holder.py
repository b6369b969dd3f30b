"""A process is stopped, or dies, while it holds a mutex of the partition."""

from __future__ import annotations

from pathlib import Path

import pytest

import eventlog
from eventlog import LockTimeoutError
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
