"""What goes into a partition comes out of it, in one process and across processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import eventlog


def test_null_and_empty_keys_and_values_are_told_apart(tmp_path: Path) -> None:
    with eventlog.open(tmp_path / "store") as log:
        log.create_topic("events")
        partition = log.partition("events", 0)
        for key in (None, b"", b"k"):
            for value in (None, b"", b"v"):
                partition.append(value, key=key)
        pairs = [(record.key, record.value) for record in partition.records()]
    assert pairs == [(key, value) for key in (None, b"", b"k") for value in (None, b"", b"v")]


def test_headers_keep_order_repetition_and_nulls(tmp_path: Path) -> None:
    headers = [("trace", b"1"), ("trace", None), ("", b""), ("ключ", b"\x00\xff")]
    with eventlog.open(tmp_path / "store") as log:
        log.create_topic("events")
        partition = log.partition("events", 0)
        partition.append(b"value", headers=headers, timestamp=1234)
        (record,) = partition.read(0)
    assert record == eventlog.Record("events", 0, 0, 1234, None, b"value", tuple(headers))


def test_offsets_go_on_over_rolled_segments_and_reopening(tmp_path: Path) -> None:
    values = [b"%d" % number * 20 for number in range(500)]
    with eventlog.open(tmp_path / "store") as log:
        log.create_topic("events", config={"segment.bytes": 4096})
        partition = log.partition("events", 0)
        for value in values[:250]:
            partition.append(value)
    with eventlog.open(tmp_path / "store") as log:
        partition = log.partition("events", 0)
        assert partition.end_offset == 250
        offsets = [partition.append(value) for value in values[250:]]
        assert offsets == list(range(250, 500))
        assert list(partition.values()) == values
        assert len(list(partition.directory.glob("*.log"))) > 5
        assert [report.problems for report in log.verify()] == [[]]


def test_closed_segments_end_with_their_last_batch(tmp_path: Path) -> None:
    with eventlog.open(tmp_path / "store") as log:
        log.create_topic("events")
        log.partition("events", 0).append(b"value" * 10)
        directory = log.partition("events", 0).directory
    (segment,) = directory.glob("*.log")
    data = segment.read_bytes()
    assert len(data) == 12 + int.from_bytes(data[8:12], "big")


WRITER = """
import sys, eventlog
log = eventlog.open(sys.argv[1])
partition = log.partition("events", 0)
number = 0
while True:
    partition.append_many([b"%d" % (number + i) for i in range(7)])
    number += 7
    print(number, flush=True)
"""


def test_kill_9_of_a_writer_loses_nothing_that_was_returned(tmp_path: Path) -> None:
    path = tmp_path / "store"
    with eventlog.open(path) as log:
        log.create_topic("events")
    for _ in range(5):
        with subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE) as writer:
            assert writer.stdout is not None
            for _ in range(100):
                returned = int(writer.stdout.readline())
            os.kill(writer.pid, signal.SIGKILL)
            returned = max([returned, *(int(line) for line in writer.stdout.read().split(b"\n")[:-1])])
        with eventlog.open(path) as log:
            partition = log.partition("events", 0)
            assert partition.recovery.outcome == "trusted"
            values = [int(value) for value in partition.values() if value is not None]
        start = len(values) - values[::-1].index(0) - 1
        last_run = values[start:]
        assert last_run == list(range(len(last_run)))
        assert len(last_run) % 7 == 0 and len(last_run) >= returned


def test_a_closed_store_refuses_use(tmp_path: Path) -> None:
    log = eventlog.open(tmp_path / "store")
    log.create_topic("events")
    partition = log.partition("events", 0)
    log.close()
    with pytest.raises(eventlog.StoreClosedError):
        partition.append(b"value")
    with pytest.raises(eventlog.StoreClosedError):
        log.topics()
