"""A server that is killed while a group works, and the next one: the members continue, and no commit is lost."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

import eventlog
from eventlog import TopicPartition
from eventlog.serve import errors
from tests.cli.command_line import CommandLine
from tests.serve.client import RawClient
from tests.serve.group_client import GroupMember, assignment_of, committed

EVENTS = TopicPartition("events", 0)


class Program:
    """`eventlog serve` as a program of its own, which is killed and started again."""

    def __init__(self, store: Path) -> None:
        self._command_line = CommandLine(store)
        self.start()

    def start(self) -> None:
        self._process = self._command_line.start("serve", "--listen", "127.0.0.1:0", "--json")
        assert self._process.stdout is not None
        told = json.loads(self._process.stdout.readline())
        self.client = RawClient((told["host"], told["port"]))

    def kill(self) -> None:
        os.kill(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self.client.socket.close()

    def kill_and_start(self) -> None:
        self.kill()
        self.start()

    def close(self) -> None:
        self.client.socket.close()
        self._command_line.kill_all()


@pytest.fixture
def store(tmp_path: Path) -> Path:
    store = tmp_path / "store"
    with eventlog.open(store) as log:
        log.create_topic("events")
        log.partition("events", 0).append_many([b"value"] * 1000)
    return store


@pytest.fixture
def program(store: Path) -> Iterator[Program]:
    program = Program(store)
    yield program
    program.close()


def test_a_group_continues_when_its_server_is_killed_again_and_again(program: Program, store: Path) -> None:
    worker = GroupMember(program.client)
    worker.work_alone()
    for offset in range(1, 3):
        assert worker.commit(offset) == errors.NONE
        program.kill_and_start()
        worker.client = program.client
        assert worker.heartbeat() == errors.NONE
        assert worker.generation == 1
        assert worker.sync().assignment == assignment_of(0)
        assert committed(worker.client, "billing").committed_offset == offset


def test_a_server_killed_in_a_rebalance_has_the_generation_before(program: Program) -> None:
    worker = GroupMember(program.client)
    worker.work_alone()
    assert worker.join() == errors.NONE  # generation 2, which is not complete
    program.kill_and_start()
    worker.client = program.client
    assert worker.sync().error_code == errors.ILLEGAL_GENERATION
    assert worker.commit(1) == errors.ILLEGAL_GENERATION
    assert worker.join() == errors.NONE
    assert worker.sync({worker.id: assignment_of(0)}).error_code == errors.NONE


def test_consumers_of_this_library_take_over_when_the_server_is_gone(program: Program, store: Path) -> None:
    worker = GroupMember(program.client)
    worker.work_alone()
    assert worker.commit(990) == errors.NONE
    program.kill()
    with eventlog.open(store) as log, log.consumer("events", group="billing") as consumer:
        assert log.group("billing").committed() == {EVENTS: 990}
        assert [record.offset for record in consumer.poll(30, max_records=5)] == list(range(990, 995))
        program.start()
        worker.client = program.client
        assert worker.heartbeat() == errors.UNKNOWN_MEMBER_ID
        assert worker.commit(992) == errors.UNKNOWN_MEMBER_ID
        worker.id = ""
        assert worker.join() == errors.INCONSISTENT_GROUP_PROTOCOL
        consumer.commit()
    assert worker.join() == errors.NONE
    assert committed(worker.client, "billing").committed_offset == 995
