"""Committing, hand-over and wake-up."""

from __future__ import annotations

from multiprocessing.connection import Connection
from pathlib import Path

from pytest_benchmark.fixture import BenchmarkFixture

import eventlog
from benchmarks.suites.conftest import MakeSession
from benchmarks.workloads import SMALL
from tests.support.processes import Worker
from tests.support.stores import TOPIC, create, open_partition


def test_commit(benchmark: BenchmarkFixture, open_session: MakeSession) -> None:
    session = open_session(SMALL, 1000)
    session.join(is_committing=True)
    benchmark(session.commit, 1000)


def test_hand_over_by_leaving(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    """A member leaves, and the next one polls the first record."""
    create(tmp_path / "store")
    with eventlog.open(tmp_path / "store", fsync="never") as log:
        open_partition(log).append(b"a record that nobody commits")

        def hand_over() -> None:
            with log.consumer(TOPIC, group="workers") as consumer:
                assert consumer.poll(timeout=10)

        benchmark(hand_over)


def _answer(connection: Connection, store: str) -> None:
    with eventlog.open(store, fsync="never") as log:
        questions, answers = log.partition("questions", 0), log.partition("answers", 0)
        connection.send("ready")
        offset = 0
        while questions.wait(offset, timeout=60):
            answers.append(b"answer")
            offset += 1


def test_wake_up_round_trip(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    """An append wakes another process, whose append wakes this one."""
    store = str(tmp_path / "store")
    with eventlog.open(store, fsync="never") as log:
        log.create_topic("questions")
        log.create_topic("answers")
        questions, answers = log.partition("questions", 0), log.partition("answers", 0)
        with Worker(_answer, store) as worker:
            worker.receive()
            benchmark(lambda: answers.wait(questions.append(b"question"), timeout=60))
