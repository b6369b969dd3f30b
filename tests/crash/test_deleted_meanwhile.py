"""A topic is deleted while another process, stopped at a fault point, is on its way to it."""

from __future__ import annotations

from pathlib import Path

import pytest

import eventlog
from eventlog import LockTimeoutError
from tests.support import workers
from tests.support.fault_points import Fault, interpreter


def test_housekeeping_passes_over_a_topic_that_is_deleted_just_then(tmp_path: Path) -> None:
    store = tmp_path / "store"
    with eventlog.open(store) as log:
        for topic in ("first", "second"):
            log.create_topic(topic)
            log.partition(topic, 0).append(b"x")
        fault = Fault("mutex.taken", 2, action="stop")  # the first mutex is the gate of the catalog
        with interpreter(workers.maintain_once, store, report=tmp_path / "report", fault=fault) as maintainer:
            maintainer.wait_until_stopped()
            fault = Fault("catalog.changed")  # not in the catalog any more, and its files are still there
            with interpreter(workers.delete_topic, store, "second", report=tmp_path / "report", fault=fault) as deleter:
                assert deleter.drain() == []
            maintainer.resume()
            assert maintainer.receive() == (False, [])


def test_a_deletion_that_comes_late_spares_the_topic_that_was_made_anew(tmp_path: Path) -> None:
    """Two processes finish the deletion that a killed one began; the later one was stopped when it had seen that it is due."""
    store = tmp_path / "store"
    with eventlog.open(store, lock_timeout_ms=200) as log:
        log.create_topic("events")
        log.partition("events", 0).append(b"old")
        fault = Fault("catalog.changed")
        with interpreter(workers.delete_topic, store, "events", report=tmp_path / "report", fault=fault) as deleter:
            assert deleter.drain() == []
        fault = Fault("deleted.poisoned", action="stop")
        with interpreter(workers.maintain_once, store, report=tmp_path / "report", fault=fault) as late:
            late.wait_until_stopped()
            with pytest.raises(LockTimeoutError, match=rf"\b{late.pid}\b"):
                log.create_topic("events")
            late.resume()
            assert late.receive() == (False, [])
        log.create_topic("events")
        assert log.partition("events", 0).append(b"new") == 0
        assert log.maintain().failures == []
        assert list(log.partition("events", 0).values()) == [b"new"]
