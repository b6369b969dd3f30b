"""Containers that share a volume: a store is used from one PID namespace, one time namespace and one machine at a time."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

import eventlog
from eventlog import StoreOpenError
from eventlog.storage.segments import names, users
from tests.support import snapshots, stores
from tests.support.namespaces import OTHER_CLOCK, OTHER_MOUNTS, OTHER_PROCESSES, run_elsewhere
from tests.support.stores import TOPIC

OPEN = """
import sys, eventlog
try:
    eventlog.open(sys.argv[1])
except eventlog.EventLogError as error:
    print(type(error).__name__, error)
else:
    print("opened")
"""

DIAGNOSE = """
import sys, eventlog
for finding in eventlog.diagnose(sys.argv[1]):
    print(finding.severity, finding.text)
"""

APPEND_AND_BE_KILLED = """
import os, sys, threading, eventlog
log = eventlog.open(sys.argv[1])
partition = log.partition("events", 0)
for number in range(10):
    partition.append(b"%d" % number)
consumer = log.consumer("events", group="workers", instance_id="static")
consumer.poll()
consumer.commit()
def append():
    while True:
        partition.append(b"more")
for _ in range(4):
    threading.Thread(target=append).start()
os._exit(9)  # all threads end where they are; a signal does not kill process 1
"""

OPEN_BY_ANOTHER_PATH = """
import subprocess, sys, eventlog
subprocess.run(["mount", "--bind", sys.argv[1], sys.argv[2]], check=True)
with eventlog.open(sys.argv[2]) as log:
    print(log.partition("events", 0).append(b"from there"))
"""


@pytest.mark.parametrize(
    ("namespaces", "where"), [(OTHER_PROCESSES, "in another PID namespace"), (OTHER_CLOCK, "in another time namespace")]
)
def test_a_store_in_use_in_another_namespace_is_refused_and_stays_as_it_is(
    store: Path, namespaces: tuple[str, ...], where: str
) -> None:
    with eventlog.open(store):
        before = snapshots.content(store)
        done = run_elsewhere(namespaces, OPEN, store)
        assert done.stdout.startswith("StoreOpenError ") and where in done.stdout, done
        assert "--pid=container:NAME" in done.stdout and "shareProcessNamespace: true" in done.stdout
        found = run_elsewhere(namespaces, DIAGNOSE, store).stdout.splitlines()
        assert len(found) == 1 and found[0].startswith("error ") and where in found[0]
        assert snapshots.content(store) == before


def test_a_store_that_is_being_made_in_one_namespace_is_refused_in_another(tmp_path: Path) -> None:
    made = tmp_path / "store"
    with eventlog.open(made):
        (made / "store.json").unlink()  # as long as it is not complete
        before = snapshots.content(made)
        assert "in another PID namespace" in run_elsewhere(OTHER_PROCESSES, OPEN, made).stdout
        assert snapshots.content(made) == before


def test_once_all_have_closed_a_store_another_namespace_may_open_it(store: Path) -> None:
    for _ in range(2):
        with eventlog.open(store) as log:
            stores.open_partition(log).append(b"here")
        assert run_elsewhere(OTHER_PROCESSES, OPEN, store).stdout == "opened\n"


def test_what_processes_killed_in_another_namespace_left_is_taken_over(store: Path) -> None:
    assert run_elsewhere(OTHER_PROCESSES, APPEND_AND_BE_KILLED, store).returncode != 0
    with eventlog.open(store, lock_timeout_ms=2000) as log:
        partition = stores.open_partition(log)
        assert [record.value for record in stores.everything(partition)][:10] == [b"%d" % number for number in range(10)]
        assert partition.append(b"after") == partition.end_offset - 1
        assert list(log.group("workers").committed().values()) == [10]
        with log.consumer(TOPIC, group="workers", instance_id="static") as consumer:
            assert consumer.poll(timeout=10)[0].offset == 10
            consumer.commit(sync=True)


def test_the_same_namespace_may_use_another_path_to_the_store(store: Path, tmp_path: Path) -> None:
    mounted = tmp_path / "mounted"
    mounted.mkdir()
    with eventlog.open(store) as log:
        partition = stores.open_partition(log)
        partition.append(b"here")
        done = run_elsewhere(OTHER_MOUNTS, OPEN_BY_ANOTHER_PATH, store, mounted)
        assert (done.stdout, done.stderr) == ("1\n", "")
        assert [record.value for record in stores.everything(partition)] == [b"here", b"from there"]


def damage_note(store: Path) -> None:
    names.users_file(store).write_bytes(b"{")


def delete_note(store: Path) -> None:
    names.users_file(store).unlink()


def note_of_another_machine(store: Path) -> None:
    note = json.loads(names.users_file(store).read_text())
    names.users_file(store).write_text(json.dumps({**note, "boot": "0" * 32}))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (damage_note, "deleted or damaged while the store was open"),
        (delete_note, "deleted or damaged while the store was open"),
        (note_of_another_machine, "on another machine"),
    ],
)
def test_nobody_joins_users_of_whom_it_cannot_be_told_that_they_are_here(
    store: Path, change: Callable[[Path], None], reason: str
) -> None:
    with eventlog.open(store):
        change(store)
        with pytest.raises(StoreOpenError, match=reason):
            eventlog.open(store)
    with eventlog.open(store) as log:
        assert log.topics() == [TOPIC]


def test_a_process_that_cannot_tell_its_namespace_is_refused_and_one_without_time_namespaces_is_not(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(users, "_NAMESPACES", tmp_path / "not mounted")
    before = snapshots.content(store)
    with pytest.raises(StoreOpenError, match="not mounted"):
        eventlog.open(store)
    assert snapshots.content(store) == before
    (tmp_path / "mounted").mkdir()
    (tmp_path / "mounted" / "pid").symlink_to("pid:[4026531836]")
    monkeypatch.setattr(users, "_NAMESPACES", tmp_path / "mounted")
    with eventlog.open(store) as log:
        assert log.topics() == [TOPIC]
