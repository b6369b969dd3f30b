"""Producers, consumers, receipts and groups in a forked child are refused; and they do not hang the end of a program."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

import eventlog
from tests.support import members, workers
from tests.support.processes import Interpreter, Worker


def test_handles_are_refused_in_a_forked_child_and_the_parent_goes_on(store: Path) -> None:
    with Interpreter(members.use_clients_after_fork, store) as parent:
        raised = parent.receive()
        assert raised == dict.fromkeys(raised, "ForkedProcessError")
        assert parent.receive() == "the child has consumed by itself"
        assert parent.receive() == ([b"by the child", b"by the parent"], 1)
        parent.join()


def test_the_test_above_tries_every_public_name() -> None:
    handles = {"producer": eventlog.Producer, "consumer": eventlog.Consumer, "group": eventlog.Group}
    for prefix, handle in handles.items():
        public = {name for name, _ in inspect.getmembers(handle, callable) if not name.startswith("_")}
        public -= {"close", "close_with_store", "check_may_close"}
        public -= {"stop", "wakeup"}  # by signal handlers, which a child inherits
        assert {f"{prefix}.{name}" for name in public} <= members.USES_OF_CLIENTS.keys()


def test_clients_that_were_never_closed_do_not_hang_the_exit_and_leave_the_group(store: Path) -> None:
    with Interpreter(members.leave_everything_open, store) as program:
        assert program.receive() == "leaving"
        assert program.exit_status == 0
    with eventlog.open(store) as log:
        assert log.group("open").describe().members == ()
        assert [record.value for record in log.partition("waiting", 0).records()] == [b"gathered"]


def test_a_member_that_forks_and_dies_is_not_kept_alive_by_its_child(store: Path) -> None:
    with Worker(members.join_and_fork, store) as member:
        child = member.receive()
        member.kill()
        with eventlog.open(store) as log, log.consumer("events", group="forking") as consumer:
            while not consumer.assignment():
                consumer.poll(timeout=0.1)
        assert Path(f"/proc/{child}").exists()
        members.end(child)


def test_an_iterator_hands_out_nothing_in_a_forked_child_and_everything_in_the_parent(store: Path) -> None:
    with Interpreter(workers.iterate_after_fork, store) as parent:
        assert parent.receive() == "ForkedProcessError"
        assert parent.receive() == [b"%d" % number for number in range(1, 10)]
        parent.join()


@pytest.mark.skipif(workers.FUTEX is None, reason="the number of the futex system call is not known for this machine")
def test_a_receipt_is_refused_in_a_child_that_was_forked_while_another_thread_appended(store: Path) -> None:
    with Interpreter(workers.fork_while_a_batch_is_appended, store) as parent:
        assert parent.receive() == "ForkedProcessError"
        parent.send("go on")
        assert parent.receive() == 0
        parent.join()
