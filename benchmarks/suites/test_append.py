"""Appending: one by one, in batches, durably, and through a producer."""

from __future__ import annotations

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.suites.conftest import SEED, MakeSession
from benchmarks.workloads import KEYED, PARTITIONS, SMALL, WORKLOADS, Workload

every_workload = pytest.mark.parametrize("workload", WORKLOADS, ids=lambda workload: workload.name)


@every_workload
def test_append(benchmark: BenchmarkFixture, open_session: MakeSession, workload: Workload) -> None:
    session = open_session(workload)
    events = workload.events(1000, SEED)
    benchmark(session.append, events)


@every_workload
def test_batch_append(benchmark: BenchmarkFixture, open_session: MakeSession, workload: Workload) -> None:
    session = open_session(workload)
    batches = list(workload.events(10_000, SEED).batches())
    benchmark(session.append_batches, batches)


def test_append_to_disk(benchmark: BenchmarkFixture, open_session: MakeSession) -> None:
    session = open_session(SMALL, durability="disk")
    benchmark(session.append, SMALL.events(10, SEED))


@pytest.mark.parametrize("partitions", PARTITIONS)
def test_send_with_keys(benchmark: BenchmarkFixture, open_session: MakeSession, partitions: int) -> None:
    session = open_session(KEYED, partitions=partitions)
    benchmark(session.produce, KEYED.events(1000, SEED))


def test_send_in_batches(benchmark: BenchmarkFixture, open_session: MakeSession) -> None:
    session = open_session(SMALL)
    benchmark(session.send, SMALL.events(10_000, SEED))
