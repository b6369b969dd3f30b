"""A store with one topic of one partition, for tests of what a single process sees."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import eventlog
from eventlog import EventLog, Partition
from tests.support import stores


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
