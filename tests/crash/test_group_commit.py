"""fsync="always": on disk at return, and appends of several processes and threads share their fdatasync."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import tracing, workers
from tests.support.processes import Interpreter

_PROCESSES, _THREADS, _APPENDS = 3, 4, 50


def _append(store: Path, prefixes: list[list[str]]) -> list[tuple[int, int]]:
    """(offset, durable offset at return) of every append."""
    results: list[tuple[int, int]] = []
    writers = [
        Interpreter(workers.append_at_once, store, _THREADS, _APPENDS, {"fsync": "always"}, prefix=prefix)
        for prefix in prefixes
    ]
    try:
        for writer in writers:
            assert writer.receive() == "ready"
        for writer in writers:
            writer.send("go")
        for writer in writers:
            results += writer.receive()
        for writer in writers:
            writer.join()
    finally:
        for writer in writers:
            writer.kill()
    return results


def test_every_append_is_durable_when_it_returns(store: Path) -> None:
    results = _append(store, [[]] * _PROCESSES)
    assert sorted(offset for offset, _ in results) == list(range(_PROCESSES * _THREADS * _APPENDS))
    assert all(durable_offset > offset for offset, durable_offset in results)


@pytest.mark.skipif(tracing.why_not() is not None, reason=tracing.why_not() or "")
def test_concurrent_appends_share_their_fdatasync(store: Path, tmp_path: Path) -> None:
    reports = [tmp_path / f"fdatasync-{number}" for number in range(_PROCESSES)]
    appends = len(_append(store, [tracing.counting("fdatasync", report) for report in reports]))
    syncs = sum(tracing.counted(report) for report in reports)
    print(f"{syncs} fdatasync for {appends} appends")
    assert 0 < syncs < appends
