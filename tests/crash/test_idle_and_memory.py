"""Waiting costs no CPU time, and memory does not grow with the log."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

import eventlog
from eventlog import TopicPartition
from tests.support import stores, workers
from tests.support.processes import Interpreter

_WAIT_SECONDS = 1.5
_CPU_SHARE_MAX = 0.05
_MEGABYTES = 200
_GROWTH_KB_MAX = 8 * 1024
_PEAK_KB_MAX = 96 * 1024


def test_a_process_that_waits_for_a_record_uses_no_cpu_until_it_comes(store: Path) -> None:
    with eventlog.open(store) as log, Interpreter(workers.wait_for, store, 0, None) as waiter:
        partition = stores.open_partition(log)
        assert waiter.receive() == "waiting"
        start = time.monotonic()
        assert partition.wait(0, timeout=_WAIT_SECONDS) is False
        elapsed = time.monotonic() - start
        partition.append(b"here it is")
        is_there, cpu_seconds = waiter.receive()
        assert is_there
        assert cpu_seconds < _CPU_SHARE_MAX * elapsed, f"{cpu_seconds} s of CPU time in {elapsed} s of waiting"


@pytest.mark.parametrize("way", ["assigned", "subscribed", "a member"])
def test_a_consumer_that_waits_uses_no_cpu(store: Path, way: str) -> None:
    with eventlog.open(store) as log, log.consumer(group="group" if way == "a member" else None) as consumer:
        consumer.assign([TopicPartition(stores.TOPIC, 0)]) if way == "assigned" else consumer.subscribe(stores.TOPIC)
        consumer.poll(timeout=0)
        before = time.thread_time()
        assert consumer.poll(timeout=_WAIT_SECONDS) == []
        cpu_seconds = time.thread_time() - before
        assert cpu_seconds < _CPU_SHARE_MAX * _WAIT_SECONDS, f"{cpu_seconds} s of CPU time in {_WAIT_SECONDS} s of waiting"


def test_memory_stays_flat_while_200_mb_are_appended_and_read(tmp_path: Path) -> None:
    store = tmp_path / "store"
    stores.create(store, segment_bytes=64 * 2**20)
    peaks = {}
    with Interpreter(workers.append_much, store, _MEGABYTES) as writer:
        peaks["append"] = writer.receive()
        writer.join()
    for way in ("values", "read"):
        with Interpreter(workers.read_everything, store, way) as reader:
            peaks[way] = reader.receive()
    for segment in stores.segments(store):
        segment.unlink()
    print(peaks)
    for first, last in peaks.values():
        assert last - first < _GROWTH_KB_MAX, peaks
        assert last < _PEAK_KB_MAX, peaks
