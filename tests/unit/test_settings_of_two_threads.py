"""Settings that two threads load at once: whatever the one has done of it, appends of the other go by settings that hold."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import eventlog
from eventlog import InvalidArgumentError
from eventlog.storage.partition import open_partition as open_partition_module
from eventlog.storage.partition import settings as settings_module
from eventlog.storage.partition import writer as writer_module
from tests.support import stores

_TRACED = {module.__file__ for module in (open_partition_module, settings_module, writer_module)}


def _count_steps(work: Callable[[], object], between: Callable[[int], object]) -> int:
    """Do some work in a thread of its own, and something else before each line of the partition's code in it, which is where
    another thread may come in. `between` gets the line's number, from 1 on; returns how many there were."""
    steps = 0
    raised: list[BaseException] = []

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal steps
        if frame.f_code.co_filename not in _TRACED:
            return None
        if event == "line":
            steps += 1
            between(steps)
        return trace

    def run() -> None:
        sys.settrace(trace)
        try:
            work()
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    for error in raised:
        raise error
    return steps


def _alter_at(step: int, log: eventlog.EventLog, config: dict[str, str], check: Callable[[eventlog.Partition], object]) -> int:
    """Alter a topic when another thread has come to this step of loading its settings, and check from then on; returns how many
    steps there were."""
    topic = f"topic-{step}"
    log.create_topic(topic)
    partition = log.partition(topic, 0)
    log.alter_topic(topic, config={"retention.ms": 1})  # there is something to load

    def alter_and_check(now: int) -> None:
        if now == step:
            log.alter_topic(topic, config=config)
        if now >= step:
            check(partition)

    return _count_steps(lambda: partition.append(b"value", key=b"key"), alter_and_check)


def _alter_at_each_step(path: Path, config: dict[str, str], check: Callable[[eventlog.Partition], object]) -> None:
    with eventlog.open(path) as log:
        step = 1
        while _alter_at(step, log, config, check) > step:
            step += 1
    assert step > 10


def test_no_record_without_a_key_gets_into_a_topic_that_is_compacted_by_now(tmp_path: Path) -> None:
    def check(partition: eventlog.Partition) -> None:
        with pytest.raises(InvalidArgumentError, match="needs a key"):
            partition.append(b"without a key")

    _alter_at_each_step(tmp_path / "store", {"cleanup.policy": "compact"}, check)


def test_every_record_has_the_time_that_its_settings_want(tmp_path: Path) -> None:
    def check(partition: eventlog.Partition) -> None:
        assert partition.read(partition.append(b"value", timestamp=5))[0].timestamp > 5

    _alter_at_each_step(tmp_path / "store", {"message.timestamp.type": "LogAppendTime"}, check)


def test_a_key_that_another_thread_takes_away_is_missed(tmp_path: Path) -> None:
    stores.create(tmp_path / "store", cleanup_policy="compact")

    class Keys(list[Any]):
        """Loses its keys once somebody has looked for one that is not there."""

        def __contains__(self, item: object) -> bool:
            answer = super().__contains__(item)
            self[:] = [None] * len(self)
            return answer

    with eventlog.open(tmp_path / "store") as log:
        partition = stores.open_partition(log)
        assert partition.append_many([b"value"], keys=Keys([b"key"])) == range(1)
        assert [record.key for record in stores.everything(partition)] == [b"key"]
