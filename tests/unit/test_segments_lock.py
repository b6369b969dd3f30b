"""The lock under which sealed segments are deleted, replaced or linked."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import pytest

from eventlog import LockTimeoutError
from eventlog.storage.segments.lock import segments_locked
from tests.support import workers
from tests.support.processes import Interpreter


def test_another_process_waits_and_the_error_names_the_holder(tmp_path: Path) -> None:
    with Interpreter(workers.hold_segments, tmp_path, False) as holder:
        assert holder.receive() == -1
        with pytest.raises(LockTimeoutError, match=rf"process {holder.pid} has .* {tmp_path}"), segments_locked(tmp_path, 20):
            pass
        holder.send("give it back")
        assert holder.receive() == "given back"
        with segments_locked(tmp_path, 20):
            pass


def test_another_thread_waits_until_it_is_given_back(tmp_path: Path) -> None:
    order: list[str] = []
    is_held, may_go_on = threading.Event(), threading.Event()

    def hold() -> None:
        with segments_locked(tmp_path, 1000):
            is_held.set()
            may_go_on.wait()
            order.append("first")

    thread = threading.Thread(target=hold)
    thread.start()
    is_held.wait()
    with pytest.raises(LockTimeoutError), segments_locked(tmp_path, 1):
        order.append("in between")
    may_go_on.set()
    with segments_locked(tmp_path, 60_000):
        order.append("second")
    thread.join()
    assert order == ["first", "second"]


def test_a_killed_holder_is_no_obstacle_even_if_a_child_of_it_lives(tmp_path: Path) -> None:
    with Interpreter(workers.hold_segments, tmp_path, True) as holder:
        child = holder.receive()
        holder.kill()
        try:
            with segments_locked(tmp_path, 1000):
                assert Path(f"/proc/{child}").exists()
        finally:
            os.kill(child, signal.SIGKILL)


def test_an_error_inside_gives_the_lock_back(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), segments_locked(tmp_path, 1):
        raise ZeroDivisionError
    with segments_locked(tmp_path, 1):
        pass


def test_a_partition_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), segments_locked(tmp_path / "gone", 1):
        pass


def test_a_thread_that_has_the_lock_is_refused_at_once_where_it_would_wait_for_itself(tmp_path: Path) -> None:
    refused = pytest.raises(LockTimeoutError, match="this thread")
    with segments_locked(tmp_path, 60_000), refused, segments_locked(tmp_path, 60_000):
        pass
    with segments_locked(tmp_path, 1):
        pass
