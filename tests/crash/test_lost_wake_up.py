"""A writer that waits for the append mutex is killed after it was woken, and before it could do anything.

Giving a mutex back wakes one waiter only. If somebody else takes the mutex first and the woken one dies, nobody
knows any more that others are asleep: without looking again by themselves they would sleep on beside a free mutex.
"""

from __future__ import annotations

import os
import platform
import time
from pathlib import Path

import pytest

import eventlog
from tests.support import heads, stores, workers
from tests.support.processes import Interpreter

_FUTEX = {"x86_64": "202", "aarch64": "98"}.get(platform.machine())
_DEADLINE_SECONDS = 30.0
_LOCK_TIMEOUT_MS = 5000


def _see_asleep_on_futex(pid: int) -> None:
    deadline = time.monotonic() + _DEADLINE_SECONDS
    while Path(f"/proc/{pid}/syscall").read_text().split()[0] != _FUTEX:
        assert time.monotonic() < deadline, f"process {pid} did not wait for the mutex"


@pytest.mark.skipif(_FUTEX is None, reason="the number of the futex system call is not known for this machine")
def test_waiters_go_on_when_the_woken_one_was_killed_and_a_newcomer_had_the_mutex(store: Path) -> None:
    options = {"fsync": "never", "lock_timeout_ms": _LOCK_TIMEOUT_MS}
    processors = os.sched_getaffinity(0)
    with (
        eventlog.open(store, fsync="never") as log,
        Interpreter(workers.append_when_told, store, options) as victim,
        Interpreter(workers.append_when_told, store, options) as other,
    ):
        partition = stores.open_partition(log)
        for writer in (victim, other):
            assert writer.receive() == "ready"
            writer.send(b"attached")
            writer.receive()
        head = heads.MappedHead(stores.head_file(store))
        head.lock_append()
        for writer in (victim, other):  # the first to sleep is the first to be woken
            writer.send(b"waits for the mutex")
            _see_asleep_on_futex(writer.pid)
        try:
            # On one processor, and last in line for it, the victim is awake but does not run before it is dead.
            os.sched_setaffinity(0, {min(processors)})
            os.sched_setaffinity(victim.pid, {min(processors)})
            os.sched_setscheduler(victim.pid, os.SCHED_IDLE, os.sched_param(0))
            head.unlock_append()
            head.lock_append()
            victim.kill()
        finally:
            os.sched_setaffinity(0, processors)
        head.unlock_append()
        offset, _ = other.receive()
        assert partition.read(offset)[0].value == b"waits for the mutex"
