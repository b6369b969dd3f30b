"""A process is killed at each system call by which it changes a store: what was acknowledged is there, others go on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import eventlog
from tests.support import payloads, stores, tracing, workers
from tests.support.processes import Interpreter
from tests.support.slow import slowly

pytestmark = pytest.mark.skipif(tracing.why_not() is not None, reason=tracing.why_not() or "")

# Each takes seconds: `make test` tries some of them, `make test-slow` the others.
_OPENING_CALLS = ("rename", *slowly("fallocate", "pwrite64", "mkdir", "flock", "fsync", "ftruncate"))
_APPENDING_CALLS = ("pwrite64", *slowly("ftruncate", "fdatasync", "fallocate", "fsync"))
_POINTS_MAX = 40


def _run_until_killed(messages: list[Any], process: Interpreter) -> bool:
    """Take what the process says until its end; was it killed?"""
    with process:
        messages.extend(process.drain())
        return process.exit_status != 0


@pytest.mark.parametrize("system_call", _APPENDING_CALLS)
def test_a_writer_killed_at_any_system_call_loses_nothing_and_stops_nobody(tmp_path: Path, system_call: str) -> None:
    """While another process has the store open, so that nobody opens it afresh and cleans up."""
    store = tmp_path / "store"
    stores.create(store, segment_bytes=2 * 72_000)
    checker = payloads.Checker()
    points = 0
    with eventlog.open(store, lock_timeout_ms=10_000) as log:
        partition = stores.open_partition(log)
        is_killed = True
        while is_killed and points < _POINTS_MAX:
            points += 1
            messages: list[Any] = []
            is_killed = _run_until_killed(
                messages,
                Interpreter(
                    workers.append_and_roll, store, points, 45, prefix=tracing.killing(system_call, points)
                ),
            )
            acknowledged = [message for message in messages if message != "closed"]
            partition.append(payloads.value(-points, 0, 0, 0, 1))
            found = {}
            for record in partition.records(checker.next_offset):
                checker.check(record.offset, record.value)
                found[record.offset] = payloads.writer_of(record.value)
            assert all(found[offset] == (points, sequence) for offset, sequence in acknowledged)
        assert points > 1, f"the writer never called {system_call}"
        assert not is_killed, "there are more calls than were tried"
    with eventlog.open(store) as log:
        assert [report.problems for report in log.verify()] == [[]]
        assert stores.open_partition(log).end_offset == checker.next_offset


@pytest.mark.parametrize("system_call", _OPENING_CALLS)
def test_a_first_opener_killed_at_any_system_call_leaves_a_store_that_opens(tmp_path: Path, system_call: str) -> None:
    """It creates the store, the topic and the partition, appends one record and closes."""
    is_killed = True
    points = 0
    while is_killed and points < _POINTS_MAX:
        points += 1
        store = tmp_path / f"store-{points}"
        process = Interpreter(workers.open_and_append, store, prefix=tracing.killing(system_call, points))
        process.send("close")
        messages: list[Any] = []
        is_killed = _run_until_killed(messages, process)
        with Interpreter(workers.open_and_append, store) as next_one:
            assert next_one.receive() == "opening"
            offset = next_one.receive()
            assert offset in ((1,) if len(messages) == 2 else (0, 1))
            next_one.send("close")
            next_one.join()
        with eventlog.open(store) as log:
            partition = stores.open_partition(log)
            assert list(partition.values()) == [b"opened"] * (offset + 1)
            assert [report.problems for report in log.verify()] == [[]]
    assert points > 1, f"opening never calls {system_call}"
    assert not is_killed, "there are more calls than were tried"
