"""What `open` refuses: before anything is changed, in words, and in one line at the command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

import eventlog
from eventlog import EventLog, StoreOpenError
from eventlog.catalog.sharing import Opened
from eventlog.storage.segments import files
from tests.support import snapshots, stores, workers
from tests.support.heads import MappedHead
from tests.support.processes import Worker

NOBODY = 65534
# Source of the format: proc(5), /proc/pid/mountinfo.
MOUNT = "36 35 {device} / {path} rw,noatime master:1 - {kind} host:/export rw\n"


def refused(path: Path, match: str) -> None:
    """`open` and the command line refuse the path for the same reason."""
    with pytest.raises(StoreOpenError, match=match):
        eventlog.open(path)
    command = [sys.executable, "-m", "eventlog", "--store", str(path), "topics", "list"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert done.stderr.startswith("eventlog: ")


def test_a_path_that_is_a_file_is_refused_and_the_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("precious")
    refused(path, "is a file")
    assert path.read_text() == "precious"


def test_a_directory_that_holds_other_files_is_refused_and_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_text("precious")
    refused(tmp_path, "not a store")
    assert os.listdir(tmp_path) == ["photo.jpg"]


def test_whoever_creates_a_store_at_the_same_time_opens_it(tmp_path: Path) -> None:
    number = 4
    barrier = threading.Barrier(number)

    def open_each() -> None:
        for path in (tmp_path / str(each) for each in range(50)):
            barrier.wait(60)
            eventlog.open(path).close()

    with ThreadPoolExecutor(number) as pool:
        for future in [pool.submit(open_each) for _ in range(number)]:
            future.result()


def test_a_store_that_another_opener_completes_between_two_checks_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "store"
    real_listdir = os.listdir

    def list_after_the_other(path: str | Path) -> list[str]:
        monkeypatch.setattr(os, "listdir", real_listdir)
        eventlog.open(store).close()
        return real_listdir(path)

    monkeypatch.setattr(os, "listdir", list_after_the_other)
    with eventlog.open(store) as log:
        assert os.listdir is real_listdir
        assert log.topics() == []


def test_an_opener_waits_until_the_last_user_in_its_process_has_closed_the_catalog(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_closing, may_close = threading.Event(), threading.Event()
    close = Opened.close

    def close_slowly(opened: Opened) -> None:
        is_closing.set()
        may_close.wait(60)
        close(opened)

    log = eventlog.open(store)
    monkeypatch.setattr(Opened, "close", close_slowly)
    with ThreadPoolExecutor(2) as pool:
        closing = pool.submit(log.close)
        assert is_closing.wait(60)
        opening = pool.submit(eventlog.open, store)
        wait([opening], 0.2)  # one that does not wait fails at once
        may_close.set()
        closing.result()
        with opening.result() as again:
            assert again.topics() == [stores.TOPIC]


def test_without_create_a_missing_store_is_refused_and_not_made(tmp_path: Path) -> None:
    with pytest.raises(StoreOpenError, match="there is no store"):
        eventlog.open(tmp_path / "store", create=False)
    assert not (tmp_path / "store").exists()


def test_a_store_of_a_newer_version_is_refused_and_stays_as_it_is(store: Path) -> None:
    (store / "store.json").write_text(json.dumps({"format": "eventlog", "version": 2}))
    before = snapshots.content(store)
    refused(store, "newer")
    assert snapshots.content(store) == before


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b"\xff\xfe", b'{"format": "eventlog", "version": "one"}'])
def test_a_store_whose_format_file_says_something_else_is_refused(store: Path, content: bytes) -> None:
    (store / "store.json").write_bytes(content)
    refused(store, "damaged")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody who may not write here")
def test_a_store_that_is_not_writable_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    for parent in tmp_path.parents:
        if parent.stat().st_uid == os.getuid() and parent.is_relative_to("/tmp") and parent != Path("/tmp"):
            parent.chmod(0o755)
    child = os.fork()
    if child == 0:
        try:
            os.setuid(NOBODY)
            eventlog.open(tmp_path / "store")
        except StoreOpenError as error:
            os._exit(0 if "Permission denied" in str(error) or "not readable and writable" in str(error) else 1)
        os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize("kind", ["nfs", "nfs4", "cifs", "fuse.sshfs"])
def test_a_network_file_system_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    device = tmp_path.stat().st_dev
    mounts = tmp_path / "mountinfo"
    mounts.write_text(MOUNT.format(device=f"{os.major(device)}:{os.minor(device)}", path=tmp_path, kind=kind))
    found = files.file_system_type(tmp_path, mounts)
    assert found == kind
    monkeypatch.setattr(files, "file_system_type", lambda path: found)
    with pytest.raises(StoreOpenError, match="network file system"):
        eventlog.open(tmp_path / "store")
    assert not (tmp_path / "store" / "store.json").exists()


def test_a_local_file_system_is_known_by_its_name(tmp_path: Path) -> None:
    device = tmp_path.stat().st_dev
    mounts = tmp_path / "mountinfo"
    mounts.write_text(MOUNT.format(device=f"{os.major(device)}:{os.minor(device)}", path="/", kind="ext4"))
    assert files.file_system_type(tmp_path, mounts) == "ext4"
    with eventlog.open(tmp_path / "store") as log:
        log.create_topic(stores.TOPIC)


def _append_and_keep(log: EventLog) -> object:
    append = stores.open_partition(log).append
    append(b"x")
    return append


KEEP: dict[str, Callable[[EventLog], object]] = {
    "a receipt": lambda log: log.producer().send(stores.TOPIC, b"x"),
    "a receipt of a batch": lambda log: log.producer(linger_ms=1_000_000).send(stores.TOPIC, b"x"),
    "a bound append": _append_and_keep,
}


@pytest.mark.parametrize("what", KEEP)
def test_a_closed_store_can_be_opened_while_something_of_it_is_kept(store: Path, what: str) -> None:
    with Worker(_keep_and_close, store, what) as keeper:
        assert keeper.receive() == "closed"
        _see_opened(store)
        keeper.send("end")


def _keep_and_close(connection: Connection, store: Path, what: str) -> None:
    log = eventlog.open(store)
    kept = KEEP[what](log)
    log.close()
    connection.send("closed")
    connection.recv()
    del kept


def test_a_closed_store_can_be_opened_while_a_forked_child_lives(store: Path) -> None:
    with Worker(_fork_and_close, store) as parent:
        assert parent.receive() == "closed"
        _see_opened(store)
        parent.send("end")
        parent.join()


def _fork_and_close(connection: Connection, store: Path) -> None:
    log = eventlog.open(store)
    stores.open_partition(log).append(b"x")
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(write_end)
        os.read(read_end, 1)  # until the parent ends
        os._exit(0)
    log.close()
    connection.send("closed")
    connection.recv()
    os.close(write_end)
    os.waitpid(child, 0)


def _see_opened(store: Path) -> None:
    with Worker(workers.open_and_append, store) as other:
        assert other.receive() == "opening"
        assert other.receive() == 1
        other.send("end")


def test_a_partition_that_another_version_has_open_is_refused_in_time(tmp_path: Path) -> None:
    stores.create(tmp_path / "store")
    with eventlog.open(tmp_path / "store") as log, eventlog.open(tmp_path / "store", lock_timeout_ms=100) as other:
        stores.open_partition(log).append(b"x")
        head = MappedHead(stores.head_file(tmp_path / "store"))
        head.state.layout += 1
        with pytest.raises(eventlog.LockTimeoutError, match="another version has the store open"):
            stores.open_partition(other)
        head.state.layout -= 1
        assert list(stores.open_partition(other).values()) == [b"x"]
