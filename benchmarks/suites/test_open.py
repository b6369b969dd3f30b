"""Opening a store and a partition: closed, after `kill -9`, and after a power cut."""

from __future__ import annotations

from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks import opening


@pytest.mark.parametrize("leave", opening.BEFORE.values(), ids=list(opening.BEFORE))
def test_open(benchmark: BenchmarkFixture, tmp_path: Path, leave: opening.Leave) -> None:
    opening.fill(tmp_path / "store", 0.01)

    def bring_about() -> None:
        opening.close_opened()
        leave(tmp_path / "store")

    benchmark.pedantic(opening.open_store, (tmp_path / "store",), setup=bring_about, rounds=5)
    opening.close_opened()
