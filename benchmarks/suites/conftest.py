"""Streams for the suites: new for each, and deleted at its end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from benchmarks import peers
from benchmarks.peers.peer import Durability, Session
from benchmarks.throughput import fill, stream_of
from benchmarks.workloads import Workload

SEED = 20260101

MakeSession = Callable[..., Session]


@pytest.fixture
def open_session(tmp_path: Path) -> Iterator[MakeSession]:
    """Opens a new stream of a workload, with that many events in it."""
    peer = peers.get("eventlog")
    with ExitStack() as stack:

        def open_new(
            workload: Workload, stock: int = 0, *, durability: Durability = "process", partitions: int = 1
        ) -> Session:
            stream = stack.enter_context(stream_of(peer, str(tmp_path), durability, workload, partitions))
            session = stack.enter_context(peer.open(stream))
            if stock:
                fill(peer, session, workload.events(stock, SEED))
            return session

        yield open_new
