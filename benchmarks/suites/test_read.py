"""Reading and seeking."""

from __future__ import annotations

import random

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.suites.conftest import SEED, MakeSession
from benchmarks.workloads import SMALL, WORKLOADS, Workload

_STOCK = 20_000

every_workload = pytest.mark.parametrize("workload", WORKLOADS, ids=lambda workload: workload.name)


@every_workload
def test_read_values(benchmark: BenchmarkFixture, open_session: MakeSession, workload: Workload) -> None:
    benchmark(open_session(workload, _STOCK).read, _STOCK)


@every_workload
def test_read_records(benchmark: BenchmarkFixture, open_session: MakeSession, workload: Workload) -> None:
    benchmark(open_session(workload, _STOCK).read_records, _STOCK)


@every_workload
def test_read_columns(benchmark: BenchmarkFixture, open_session: MakeSession, workload: Workload) -> None:
    benchmark(open_session(workload, _STOCK).read_columns, _STOCK)


def test_seek_among_batches(benchmark: BenchmarkFixture, open_session: MakeSession) -> None:
    benchmark(open_session(SMALL, _STOCK).seek, random.Random(SEED).choices(range(_STOCK), k=100))


def test_seek_among_single_records(benchmark: BenchmarkFixture, open_session: MakeSession) -> None:
    session = open_session(SMALL)
    session.append(SMALL.events(_STOCK, SEED))
    benchmark(session.seek, random.Random(SEED).choices(range(_STOCK), k=100))
