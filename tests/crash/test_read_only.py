"""A store that is read with mode="r" while processes that append to it are killed, and copies that are made meanwhile."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

import eventlog
from eventlog import CorruptLogError, Partition
from tests.support import payloads, stores
from tests.support.processes import Worker
from tests.support.stores import TOPIC
from tests.support.workers import append_groups

ROUNDS = 8
GROUPS = 30


def read_on(partition: Partition, checker: payloads.Checker) -> None:
    for record in partition.records(checker.next_offset):
        checker.check(record.offset, record.value)


@pytest.mark.parametrize("config", [{}, {"segment_bytes": 300_000}], ids=["one segment", "many segments"])
def test_a_reader_follows_writers_that_are_killed(tmp_path: Path, config: dict[str, int]) -> None:
    store, seen = tmp_path / "store", payloads.Checker()
    stores.create(store, **config)
    with eventlog.open(store, mode="r") as log:
        partition = log.partition(TOPIC, 0)
        for writer in range(ROUNDS):
            with Worker(append_groups, store, writer, writer) as worker:
                worker.send(1_000_000)
                for _ in range(GROUPS):
                    first, _, size = worker.receive()
                    assert partition.end_offset >= first + size
                    read_on(partition, seen)
                worker.kill()
            read_on(partition, seen)
        with eventlog.open(store) as other:
            assert stores.open_partition(other).end_offset >= seen.next_offset
            read_on(partition, seen)
            assert seen.next_offset == stores.open_partition(other).end_offset


def test_a_copy_of_a_live_store_has_what_was_appended_before_it_was_made(store: Path, tmp_path: Path) -> None:
    with Worker(append_groups, store, 1, 1) as worker:
        worker.send(1_000_000)
        for number in range(ROUNDS):
            acknowledged = 0
            for _ in range(GROUPS):
                first, _, size = worker.receive()
                acknowledged = first + size
            copy, seen = tmp_path / f"copy-{number}", payloads.Checker()
            subprocess.run(["cp", "-a", store, copy], check=True)
            with eventlog.open(copy, mode="r") as log:
                try:
                    read_on(log.partition(TOPIC, 0), seen)
                except CorruptLogError:  # the copy has the end of a batch, but not its beginning
                    assert log.partition(TOPIC, 0).recovery.outcome == "damaged"
            assert seen.next_offset >= acknowledged
