"""Reading where compaction has left gaps: ranges that end within one."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

import eventlog
from eventlog import Partition
from tests.support import stores

KEPT = [0, 1, 20, 21, 40, 41, 60, 61]


@pytest.fixture(params=[(0, 0, 0, 60), (0, 20, 40, 60)], ids=["within a segment", "between segments"])
def partition(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Partition]:
    """Batches of two records at the offsets 0, 20, 40 and 60, the last in a segment of its own, as compaction leaves it."""
    store = tmp_path / "store"
    with eventlog.open(store) as log:
        log.create_topic("source")
        log.partition("source", 0).append_many([b"one", b"two"])
        log.create_topic(stores.TOPIC, config={"cleanup.policy": "compact"})
        source = log.partition("source", 0).directory
    batch = (source / f"{0:020}.log").read_bytes()
    directory = stores.partition_directory(store)
    directory.mkdir()
    for base, segment in zip((0, 20, 40, 60), request.param, strict=True):
        with open(directory / f"{segment:020}.log", "ab") as file:
            file.write(struct.pack(">q", base) + batch[8:])  # no checksum covers the base offset
    with eventlog.open(store) as log:
        yield stores.open_partition(log)


@pytest.mark.parametrize("start", [0, 1, 5, 20, 30])
@pytest.mark.parametrize("stop", [1, 2, 3, 10, 19, 20, 21, 22, 30, 39, 40, 41, 42, 61, 100])
def test_a_range_that_ends_in_a_gap_ends(partition: Partition, start: int, stop: int) -> None:
    expected = [offset for offset in KEPT if start <= offset < stop]
    assert [record.offset for record in partition.records(start, stop)] == expected
    assert len(list(partition.values(start, stop))) == len(expected)
    assert [offset for columns in partition.columns(start, stop) for offset in columns.offsets] == expected
    assert [record.offset for record in partition.search(b"o", start, stop)] == expected
