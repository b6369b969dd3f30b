"""fsync="interval": what a dead process left unflushed, a living one puts on disk."""

from __future__ import annotations

from pathlib import Path

import eventlog
from tests.support import stores, workers
from tests.support.processes import Interpreter

_DEADLINE_SECONDS = 30.0
_NEVER_MS = 3_600_000


def test_a_living_process_flushes_what_a_killed_one_left(store: Path) -> None:
    with eventlog.open(store, fsync="never") as observer:
        seen = stores.open_partition(observer)
        with Interpreter(workers.append_when_told, store, {"fsync_interval_ms": _NEVER_MS}) as writer:
            assert writer.receive() == "ready"
            for number in range(100):
                writer.send(b"%d" % number)
                offset, durable_offset = writer.receive()
                assert (offset, durable_offset) == (number, 0)
        assert (seen.end_offset, seen.durable_offset) == (100, 0)
        with Interpreter(workers.wait_for, store, 10**6, None) as living:
            assert living.receive() == "waiting"
            assert seen.wait(99, timeout=_DEADLINE_SECONDS, durable=True)
        assert seen.durable_offset == 100


def test_a_process_flushes_a_segment_that_a_killed_one_rolled_to(store: Path) -> None:
    with eventlog.open(store, fsync_interval_ms=50) as log:
        partition = stores.open_partition(log)
        partition.append(b"the first segment")
        with Interpreter(workers.append_large, store, 0, 40, 8, 8192) as writer:
            count = writer.receive()
        assert len(stores.segments(store)) > 1
        assert partition.end_offset == count + 1
        assert partition.wait(count, timeout=_DEADLINE_SECONDS, durable=True)
