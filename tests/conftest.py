"""A store with one topic of one partition, for tests of what a single process sees; and what every test needs."""

from __future__ import annotations

import gc
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

import eventlog
from eventlog import EventLog, Partition
from tests.support import stores

# A shell lets what it starts in the background ignore SIGINT, and so would every process that a test starts and interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish() -> None:
    """Thousands of tests are objects, too: the collector need not visit them again whenever a test lets it run."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """The path of a store that holds the empty topic `events`."""
    path = tmp_path / "store"
    stores.create(path)
    return path


@pytest.fixture
def log(store: Path) -> Iterator[EventLog]:
    with eventlog.open(store) as log:
        yield log


@pytest.fixture
def partition(log: EventLog) -> Partition:
    return stores.open_partition(log)
