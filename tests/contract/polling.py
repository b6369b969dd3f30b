"""Polls that wait for what is there: over a network it comes within a moment, and not always all at once."""

from __future__ import annotations

import time
from collections.abc import Callable

from eventlog import Record, contract

_SECONDS_MAX = 60


def poll_exactly(consumer: contract.Consumer, count: int) -> list[Record]:
    """So many of the records that are there."""
    records = consumer.poll(timeout=30, max_records=count)
    while len(records) < count:
        records += consumer.poll(timeout=30, max_records=count - len(records))
    return records


def join(consumer: contract.Consumer) -> None:
    """Let a member get its partitions, in which there is nothing to read."""
    while not consumer.assignment():
        assert consumer.poll(timeout=0.01) == []
    assert consumer.poll(timeout=0) == []


def comes_true(condition: Callable[[], bool]) -> bool:
    """Ask a cluster until it is so; False if it does not come to be."""
    deadline = time.monotonic() + _SECONDS_MAX
    while not condition():
        if time.monotonic() > deadline:
            return False
    return True
