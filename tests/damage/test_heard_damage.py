"""Whoever comes to damage hears of it, and where."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import eventlog
from eventlog import CorruptLogError, EventLog, Partition
from tests.support import stores

_GOOD = 20
_END = 40
_READERS: dict[str, Callable[[EventLog, Partition], Any]] = {
    "read": lambda log, partition: partition.read(_GOOD),
    "values": lambda log, partition: list(partition.values()),
    "records": lambda log, partition: list(partition.records()),
    "columns": lambda log, partition: list(partition.columns()),
    "search": lambda log, partition: list(partition.search(b"nowhere")),
}


@pytest.fixture
def damaged(tmp_path: Path) -> Path:
    """A store whose partition has a flipped bit in the batch that begins at offset `_GOOD`."""
    store = tmp_path / "store"
    stores.create(store)
    with eventlog.open(store) as log:
        partition = stores.open_partition(log)
        for number in range(_END):
            partition.append(b"value %02d" % number, timestamp=1000 + number)
    segment = stores.segments(store)[0]
    data = bytearray(segment.read_bytes())
    data[data.index(b"value %02d" % _GOOD)] ^= 1
    segment.write_bytes(data)
    return store


@pytest.mark.parametrize("reader", _READERS.values(), ids=_READERS)
def test_the_error_about_damage_names_the_partition_the_offset_and_the_command_that_helps(
    damaged: Path, reader: Callable[[EventLog, Partition], Any]
) -> None:
    with eventlog.open(damaged) as log, pytest.raises(CorruptLogError) as raised:
        reader(log, stores.open_partition(log))
    error = raised.value
    assert (error.topic, error.partition, error.offset) == (stores.TOPIC, 0, _GOOD)
    assert error.command == "eventlog repair events/0" and error.command in str(error)
