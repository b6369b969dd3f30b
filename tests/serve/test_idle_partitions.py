"""Partitions with which nothing is done: their files are closed, and opened again by whatever needs them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import eventlog
from eventlog import EventLog
from eventlog.serve.connection import Limits
from eventlog.serve.partitions import OpenPartitions
from tests.serve.batches import batch
from tests.serve.client import RawClient
from tests.serve.conftest import running_server
from tests.support.kafka_format import parse_batches


def open_segments(store: Path) -> list[str]:
    """The names of the files of segments that this process has open."""
    opened = [os.readlink(f"/proc/self/fd/{number}") for number in os.listdir("/proc/self/fd") if _is_open(number)]
    return sorted(Path(path).name for path in opened if path.startswith(str(store / "logs")) and "." in Path(path).name)


def _is_open(number: str) -> bool:
    return os.path.lexists(f"/proc/self/fd/{number}")


@pytest.fixture
def partitions(log: EventLog) -> OpenPartitions:
    return OpenPartitions(log.store.partitions)


def test_the_files_of_an_idle_partition_are_closed(partitions: OpenPartitions, log: EventLog) -> None:
    opened = partitions.open("events", 0)
    opened.append(batch([b"1"]))
    assert len(opened.slice(0, 1000).read()) > 0
    opened.flush()
    partitions.rest_idle()
    assert open_segments(log.path)
    partitions.rest_idle()
    assert open_segments(log.path) == []
    assert opened.append(batch([b"2", b"3"])).first_offset == 1
    assert [len(each.records) for each in parse_batches(opened.slice(0, 1000).read())] == [1, 2]
    partitions.rest_idle()
    assert open_segments(log.path)


def test_those_of_a_busy_one_stay_open(partitions: OpenPartitions, log: EventLog) -> None:
    opened = partitions.open("events", 0)
    for number in range(4):
        if number % 2:
            opened.slice(0, 1000)
        else:
            opened.append(batch([b"x"]))
            opened.flush()
        partitions.rest_idle()
        assert open_segments(log.path)


def test_what_is_not_on_disk_is_flushed_first(store: Path) -> None:
    with eventlog.open(store, fsync_interval_ms=3_600_000) as log:
        partitions = OpenPartitions(log.store.partitions)
        opened = partitions.open("events", 0)
        opened.append(batch([b"1"]))
        for _ in range(3):
            partitions.rest_idle()
        assert open_segments(store)
        opened.flush()
        partitions.rest_idle()
        assert open_segments(store) == []
        assert opened.durable_offset == 1


def test_clients_notice_nothing(log: EventLog) -> None:
    with running_server(log, limits=Limits(idle_partition_seconds=0.001)) as server, RawClient(server.address) as client:
        for number in range(200):
            assert client.produce("events", batch([b"x"])).base_offset == number
            assert len(client.fetch("events", number).records) > 0
            if number % 20 == 0:
                log.partition("events", 0).log.flush()
