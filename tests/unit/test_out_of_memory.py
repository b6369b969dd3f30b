"""Whichever allocation fails, nothing is lost, leaked or handed out twice, and the call can be repeated."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import out_of_memory
from tests.support.processes import Worker

pytest.importorskip("_testcapi", reason="this Python has no hook to let an allocation fail")

ALLOCATIONS = 500


@pytest.mark.parametrize("use", out_of_memory.USES)
def test_a_failed_allocation_is_an_error_and_no_more(tmp_path: Path, use: str) -> None:
    with Worker(out_of_memory.let_each_fail, tmp_path / "store", use, 0, ALLOCATIONS) as worker:
        assert worker.receive() == ALLOCATIONS
