"""The fault points: a process dies or stops at each one that is named, and the library that is shipped has none."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from eventlog import _native
from tests.support import faults, workers
from tests.support.faults import Fault, Report


def test_the_library_has_no_fault_point() -> None:
    names = [name.encode() for name in faults.points()]
    shipped = Path(_native.__file__).read_bytes()
    assert not [name for name in names if name in shipped] and b"EVENTLOG_FAULT" not in shipped
    (with_points,) = faults.build().glob("eventlog/_native*.so")
    assert not [name for name in names if name not in with_points.read_bytes()], "the same search finds them where they are"


def test_names_of_fault_points_are_unique() -> None:
    names = faults.points()
    assert len(names) > 50 and len(set(names)) == len(names)


@pytest.mark.parametrize(("number", "acknowledged"), [(1, 0), (4, 3)])
def test_a_process_dies_at_the_pass_that_is_named(store: Path, number: int, acknowledged: int) -> None:
    report = store.with_name("report")
    fault = Fault("append.written", number)
    with faults.interpreter(workers.append_and_roll, store, 1, 10, report=report, fault=fault) as writer:
        assert writer.drain() == [(offset, offset) for offset in range(acknowledged)]
        assert writer.exit_status == -signal.SIGKILL
    assert Report(report).hit() == "append.written"
    assert "append.placed" in Report(report).passed()
    assert ("publish.next" in Report(report).passed()) == (number > 1)
