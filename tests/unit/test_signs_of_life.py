"""A member counts as alive for as long as its process is, whatever else the process does with the store; and no longer."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue

import pytest

import eventlog
from eventlog.groups import watcher
from eventlog.groups.watcher import Watcher
from tests.support import members, stores
from tests.support.processes import Interpreter, Worker
from tests.support.stores import TOPIC

GROUP = "group"
_LOOKS = 20
_SECONDS = 30.0
_DESCRIPTORS_OF_ONE_PROCESS = 2  # the first one, and once more after it was told to look again


def _use_a_second_handle(store: Path) -> None:
    with eventlog.open(store) as other:
        assert len(other.group(GROUP).describe().members) == 1


def _use_another_path(store: Path) -> None:
    alias = store.parent / "alias"
    alias.symlink_to(store)
    _use_a_second_handle(alias)


def _join_and_leave_by_a_second_handle(store: Path) -> None:
    with eventlog.open(store) as other, other.consumer(TOPIC, group=GROUP) as consumer:
        consumer.poll(timeout=0)


def _diagnose(store: Path) -> None:
    eventlog.diagnose(store)


def _back_up(store: Path) -> None:
    with eventlog.open(store) as other:
        other.backup(store.parent / "backup")


def _copy_the_directory(store: Path) -> None:
    shutil.copytree(store, store.parent / "copy")


def _read_every_file(store: Path) -> None:
    for path in store.rglob("*"):
        if path.is_file():
            path.read_bytes()


@pytest.mark.parametrize(
    "use",
    [
        _use_a_second_handle,
        _use_another_path,
        _join_and_leave_by_a_second_handle,
        _diagnose,
        _back_up,
        _copy_the_directory,
        _read_every_file,
    ],
)
def test_a_member_keeps_its_partitions_whatever_its_process_does_besides(store: Path, use: Callable[[Path], None]) -> None:
    with eventlog.open(store) as log, log.consumer(TOPIC, group=GROUP) as consumer:
        stores.open_partition(log).append_many([b"a", b"b"])
        assert len(consumer.poll()) == 2
        use(store)
        with Worker(members.look_and_poll, store, GROUP) as other:
            assert other.receive() == (1, []), "members that another process sees, and records that it is handed"
        consumer.commit()
        assert log.group(GROUP).committed() == {eventlog.TopicPartition(TOPIC, 0): 2}


def test_others_are_watched_on_after_memory_was_short_for_once(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: SimpleQueue[str] = SimpleQueue()

    def look_in_vain(self: Watcher) -> None:
        monkeypatch.setattr(Watcher, "_go_round", look)
        looks.put("in vain")
        raise MemoryError

    def look(self: Watcher) -> None:
        _go_round(self)
        looks.put("well")

    _go_round = Watcher._go_round
    monkeypatch.setattr(watcher, "_ROUND_MS", 10)
    monkeypatch.setattr(Watcher, "_go_round", look_in_vain)
    with eventlog.open(store) as log, log.consumer(TOPIC, group=GROUP) as consumer:
        consumer.poll(timeout=0)
        assert [looks.get(timeout=_SECONDS) for _ in range(2)] == ["in vain", "well"]


def test_two_handles_of_one_process_are_two_members(store: Path) -> None:
    with eventlog.open(store) as log, eventlog.open(store) as other, log.consumer(TOPIC, group=GROUP) as consumer:
        stores.open_partition(log).append(b"a")
        assert len(consumer.poll()) == 1
        with other.consumer(TOPIC, group=GROUP) as second:
            assert second.poll(timeout=0) == []
            assert len(log.group(GROUP).describe().members) == 2
        assert len(other.group(GROUP).describe().members) == 1


def test_a_dead_process_that_nobody_waits_for_keeps_nobody_busy(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its member's lock is held on by a child that it forked behind Python's back."""
    looks: SimpleQueue[None] = SimpleQueue()
    opened = []

    def look(self: Watcher) -> None:
        _go_round(self)
        looks.put(None)

    def open_process(process_id: int) -> int:
        opened.append(process_id)
        return _pidfd_open(process_id)

    _go_round, _pidfd_open = Watcher._go_round, os.pidfd_open
    monkeypatch.setattr(watcher, "_ROUND_MS", 10)
    with Interpreter(members.join_and_fork_natively, store, GROUP) as dead:
        child = dead.receive()
        os.kill(dead.pid, signal.SIGKILL)
        os.waitid(os.P_PID, dead.pid, os.WEXITED | os.WNOWAIT)
        monkeypatch.setattr(Watcher, "_go_round", look)
        monkeypatch.setattr(os, "pidfd_open", open_process)
        with eventlog.open(store) as log, log.consumer(TOPIC, group=GROUP) as consumer:
            consumer.poll(timeout=0)
            for _ in range(_LOOKS):
                looks.get()
        members.end(child)
    assert 1 <= len(opened) <= _DESCRIPTORS_OF_ONE_PROCESS
