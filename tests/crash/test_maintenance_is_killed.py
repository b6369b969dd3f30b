"""Compaction and retention are killed anywhere, while others append and read: no record is lost, no reader stumbles."""

from __future__ import annotations

import itertools
import os
import random
from pathlib import Path

import pytest

import eventlog
from eventlog import EventLog, OffsetOutOfRangeError
from tests.support import stores, workers
from tests.support.keyed import KeyedAccount
from tests.support.processes import Worker

ROUNDS = 12


@pytest.fixture
def store(tmp_path: Path) -> Path:
    path = tmp_path / "store"
    stores.create(path, cleanup_policy="compact", segment_bytes=8192, delete_retention_ms=0)
    return path


def test_the_latest_value_of_every_key_survives_kills_of_writers_and_maintainers(store: Path) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    choices = random.Random(seed)
    known = KeyedAccount()
    killed_inside = 0
    with eventlog.open(store) as log:
        for number in range(ROUNDS):
            with (
                Worker(workers.append_keyed, store, 2 * number, choices.randrange(2**32)) as writer,
                Worker(workers.append_keyed, store, 2 * number + 1, choices.randrange(2**32)) as other,
                Worker(workers.maintain_again_and_again, store) as maintainer,
            ):
                failures = maintainer.receive()[1]
                for appended in itertools.islice(iter(writer.receive, None), choices.randrange(50, 1500)):
                    known.note(*appended)
                reads_rise(log)
                maintainer.kill()
                killed_inside += bool(unfinished(store))
                writer.kill()
                other.kill()
                for process in (writer, other):
                    for appended in process.drain():
                        known.note(*appended)
                failures += [failure for _, found in maintainer.drain() for failure in found]
                assert failures == []
                known.check(latest(log))
        assert log.maintain(compact_all=True).failures == []
        known.check(latest(log))
        assert log.verify()[0].problems == []
        assert unfinished(store) == []
    print(f"{len(known.appended)} keys, {killed_inside} of {ROUNDS} kills left a compaction half-way")


def unfinished(store: Path) -> list[str]:
    return [name for name in os.listdir(stores.partition_directory(store)) if name.endswith((".cleaned", ".compaction"))]


def latest(log: EventLog) -> dict[bytes, tuple[int, bytes | None]]:
    return {record.key: (record.offset, record.value) for record in stores.open_partition(log).records() if record.key}


def reads_rise(log: EventLog) -> None:
    offsets = [record.offset for record in stores.open_partition(log).records()]
    assert offsets == sorted(set(offsets))


def test_deletion_is_killed_and_what_remains_is_whole(tmp_path: Path) -> None:
    store = tmp_path / "store"
    stores.create(store, segment_bytes=2048, retention_bytes=20_000)
    with eventlog.open(store) as log:
        partition = stores.open_partition(log)
        sequence = 0
        for _ in range(ROUNDS):
            with Worker(workers.maintain_again_and_again, store) as maintainer:
                maintainer.receive()
                for _ in range(1500):
                    assert partition.append(b"%d" % sequence) == sequence
                    sequence += 1
                expect_a_suffix(log, sequence)
                maintainer.kill()
                assert not [failure for _, found in maintainer.drain() for failure in found]
        assert log.maintain().failures == []
        expect_a_suffix(log, sequence)
        assert partition.start_offset > 0
        assert log.verify()[0].problems == []


def expect_a_suffix(log: EventLog, stop: int) -> None:
    """All records from the start on are there; who reads what is deleted just then is told."""
    partition = stores.open_partition(log)
    seen: list[int] = []
    try:
        seen.extend(int(value or b"") for value in partition.values())
    except OffsetOutOfRangeError:
        return
    assert seen == list(range(seen[0], stop))
