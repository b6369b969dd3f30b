"""A process that may open few files: errors say how to have more, and a consumer reads all of its partitions."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

import eventlog
from eventlog import EventLogError, TopicPartition
from tests.support import stores

PARTITIONS = 20


@contextmanager
def files_more(count: int) -> Iterator[None]:
    """Let this process open so many files more than it has."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 50, hard))
    taken: list[int] = []
    try:
        with suppress(OSError):
            while True:
                taken.append(os.open(os.devnull, os.O_RDONLY))
        for _ in range(count):
            os.close(taken.pop())
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for descriptor in taken:
            os.close(descriptor)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    path = tmp_path / "store"
    stores.create(path, partitions=PARTITIONS)
    return path


def test_a_consumer_reads_all_of_its_partitions_though_it_cannot_have_all_of_them_open(store: Path) -> None:
    with eventlog.open(store) as log, log.consumer() as consumer:
        for number in range(PARTITIONS):
            stores.open_partition(log, number).append_many([b"x"] * 5)
        consumer.assign([TopicPartition(stores.TOPIC, number) for number in range(PARTITIONS)])
        with files_more(6):
            seen = [record for _ in range(PARTITIONS) for record in consumer.poll(timeout=0, max_records=10)]
            stores.open_partition(log).append(b"later")
            assert [record.value for record in consumer.poll(timeout=60)] == [b"later"]
    assert len(seen) == len({(record.partition, record.offset) for record in seen}) == 5 * PARTITIONS


def test_the_error_says_how_to_open_more_files(store: Path) -> None:
    with eventlog.open(store) as log:
        with files_more(2), pytest.raises(EventLogError, match="ulimit -n"):
            stores.open_partition(log).append(b"x")
        assert stores.open_partition(log).append(b"x") == 0
