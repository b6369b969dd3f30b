"""Results go from process to process: pools of processes send what a task returns, and hang where it cannot be made anew."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import eventlog
from eventlog import EventLog, TopicPartition
from tests.support import stores

_PLACE = TopicPartition(stores.TOPIC, 0)

_RESULTS: dict[str, Callable[[EventLog, Path], Any]] = {
    "records": lambda log, path: stores.open_partition(log).read(0),
    "recovery": lambda log, path: stores.open_partition(log).recovery,
    "columns": lambda log, path: [each.offsets.tolist() for each in stores.open_partition(log).columns()],
    "verify": lambda log, path: log.verify(),
    "maintain": lambda log, path: log.maintain(),
    "topic": lambda log, path: log.topic(stores.TOPIC),
    "described topic": lambda log, path: log.describe_topic(stores.TOPIC),
    "offsets": lambda log, path: log.offsets(stores.TOPIC),
    "sizes": lambda log, path: log.sizes(stores.TOPIC),
    "activity": lambda log, path: vars(log.activity()),
    "metrics": lambda log, path: log.metrics(),
    "group": lambda log, path: log.group("readers").describe(),
    "progress": lambda log, path: log.group("readers").progress(),
    "history": lambda log, path: log.group("readers").history(),
    "plan of a reset": lambda log, path: log.group("readers").plan_reset({_PLACE: 0}),
    "plan of a repair": lambda log, path: log.repair(stores.TOPIC, 0),
    "backup": lambda log, path: log.backup(path / "backup"),
    "findings": lambda log, path: eventlog.diagnose(path / "store", deep=True),
}


@pytest.mark.parametrize("result", _RESULTS.values(), ids=_RESULTS)
def test_a_result_survives_the_way_to_another_process(tmp_path: Path, result: Callable[[EventLog, Path], Any]) -> None:
    stores.create(tmp_path / "store")
    with eventlog.open(tmp_path / "store") as log:
        stores.open_partition(log).append(b"value", b"key", [("name", None)])
        with log.consumer(stores.TOPIC, group="readers") as consumer:
            assert consumer.poll(timeout=0)
            consumer.commit(sync=True)
            found = result(log, tmp_path)
    assert pickle.loads(pickle.dumps(found)) == found


def test_the_report_on_a_restored_store_and_on_a_backup_do_so_too(tmp_path: Path) -> None:
    stores.create(tmp_path / "store")
    with eventlog.open(tmp_path / "store") as log:
        stores.open_partition(log).append(b"value")
        log.backup(tmp_path / "backup")
    for found in (eventlog.verify_backup(tmp_path / "backup"), eventlog.restore(tmp_path / "backup", tmp_path / "restored")):
        assert pickle.loads(pickle.dumps(found)) == found
