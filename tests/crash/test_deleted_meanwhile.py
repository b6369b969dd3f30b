"""A topic is deleted while another process, stopped at a fault point, is on its way to it."""

from __future__ import annotations

from pathlib import Path

import eventlog
from tests.support import faults, workers
from tests.support.faults import Fault


def test_housekeeping_passes_over_a_topic_that_is_deleted_just_then(tmp_path: Path) -> None:
    store = tmp_path / "store"
    with eventlog.open(store) as log:
        for topic in ("first", "second"):
            log.create_topic(topic)
            log.partition(topic, 0).append(b"x")
        fault = Fault("mutex.taken", action="stop")
        with faults.interpreter(workers.maintain_once, store, report=tmp_path / "report", fault=fault) as maintainer:
            maintainer.wait_until_stopped()
            fault = Fault("catalog.changed")  # not in the catalog any more, and its files are still there
            with faults.interpreter(workers.delete_topic, store, "second", report=tmp_path / "report", fault=fault) as deleter:
                assert deleter.drain() == []
            maintainer.resume()
            assert maintainer.receive() == (False, [])
