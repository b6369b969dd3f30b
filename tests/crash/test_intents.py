"""A process dies between any two steps of a change that the catalog decides and mapped files follow: others finish it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import eventlog
from eventlog import EventLog, InvalidArgumentError, LockTimeoutError
from tests.support import fault_points, stores, workers
from tests.support.fault_points import Fault
from tests.support.kill_steps import kill_at_every_step
from tests.support.stores import TOPIC

KEYS = 3
RECORDS = 60


@contextmanager
def keyed_topic(store: Path) -> Iterator[EventLog]:
    """Two partitions of several segments, which this process has open."""
    stores.create(store, partitions=2, segment_bytes=1024)
    with eventlog.open(store) as log:
        for number in range(RECORDS):
            for partition in range(2):
                log.partition(TOPIC, partition).append(b"%d" % number * 20, key=b"%d" % (number % KEYS))
        yield log


def compact_from_now_on(log: EventLog) -> None:
    log.alter_topic(TOPIC, config={"cleanup.policy": "compact", "segment.bytes": 4096})


def settings_hold_everywhere(log: EventLog) -> None:
    """Housekeeping by another handle, and then everybody goes by what the catalog says, and reads the latest of each key."""
    with eventlog.open(log.path) as other:
        assert other.maintain(compact_all=True).failures == []
        settings = other.topic(TOPIC).settings()
        for each in (log, other):
            assert [report.problems for report in each.verify()] == [[], []]
            for number in range(2):
                partition = each.partition(TOPIC, number)
                latest = {record.key: record.offset for record in partition.records()}
                assert latest == {b"%d" % ((RECORDS - back) % KEYS): RECORDS - back for back in range(1, KEYS + 1)}
                if settings.is_compacted:
                    with pytest.raises(InvalidArgumentError, match="needs a key"):
                        partition.append(b"no key")


def test_altered_settings_hold_for_everybody_though_the_process_that_altered_them_died(tmp_path: Path) -> None:
    sections = ("settings.", "gate.left")
    died = kill_at_every_step(tmp_path, sections, keyed_topic, compact_from_now_on, settings_hold_everywhere)
    assert {"settings.gaps", "settings.locked", "settings.limits", "settings.counted", "gate.left"} <= died


def test_a_partition_that_could_not_be_told_of_new_settings_is_read_right_after_compaction(tmp_path: Path) -> None:
    store = tmp_path / "store"
    with keyed_topic(store) as log:
        fault = Fault("append.locked", action="stop")  # a process that is stopped while it has the append mutex
        arguments = (workers.append_and_roll, store, 1, 1)
        with fault_points.interpreter(*arguments, report=tmp_path / "report", fault=fault) as stopped:
            stopped.wait_until_stopped()
            with eventlog.open(store, lock_timeout_ms=50, fsync="never") as other:
                with pytest.raises(LockTimeoutError, match="the topic is altered, and the partition follows"):
                    compact_from_now_on(other)
                assert any("older settings" in finding.text for finding in eventlog.diagnose(store))
                assert {place for place, _ in other.maintain(compact_all=True).failures} <= {f"{TOPIC}-0"}
                for each in (log, other):
                    assert all(list(each.partition(TOPIC, number).records()) for number in range(2))
        with eventlog.open(store) as other:
            other.partition(TOPIC, 0)
            with pytest.raises(InvalidArgumentError, match="needs a key"):
                log.partition(TOPIC, 0).append(b"no key")
