"""The fault points: a process dies or stops at each one that is named, and the library that is shipped has none."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

import eventlog
from eventlog import _native
from tests.support import fault_points, stores, workers
from tests.support.bare_store import BareStore
from tests.support.fault_points import Fault, Report
from tests.support.stores import TOPIC


def test_the_library_has_no_fault_point() -> None:
    names = [name.encode() for name in fault_points.points()]
    shipped = Path(_native.__file__).read_bytes()
    assert not [name for name in names if name in shipped] and b"EVENTLOG_FAULT" not in shipped
    (with_points,) = fault_points.build().glob("eventlog/_native*.so")
    assert not [name for name in names if name not in with_points.read_bytes()], "the same search finds them where they are"


def test_names_of_fault_points_are_unique() -> None:
    names = fault_points.points()
    assert len(names) > 50 and len(set(names)) == len(names)


@pytest.mark.parametrize(("number", "acknowledged"), [(1, 0), (4, 3)])
def test_a_process_dies_at_the_pass_that_is_named(store: Path, number: int, acknowledged: int) -> None:
    report = store.with_name("report")
    fault = Fault("append.written", number)
    with fault_points.interpreter(workers.append_and_roll, store, 1, 10, report=report, fault=fault) as writer:
        assert writer.drain() == [(offset, offset) for offset in range(acknowledged)]
        assert writer.exit_status == -signal.SIGKILL
    assert Report(report).hit() == "append.written"
    assert "append.placed" in Report(report).passed()
    assert ("publish.next" in Report(report).passed()) == (number > 1)


@pytest.mark.parametrize("point", ["index.written", "trim.indexed"])
def test_a_sealed_segment_has_its_last_time_index_entry_though_a_roller_died_writing_it(tmp_path: Path, point: str) -> None:
    store = tmp_path / "store"
    stores.create(store, segment_bytes=2 * 72_000, index_interval_bytes=2**31 - 1)  # only sealing writes an entry
    fault = Fault(point)
    with fault_points.interpreter(workers.append_and_roll, store, 1, 50, report=tmp_path / "report", fault=fault) as writer:
        assert writer.drain()
        assert Report(tmp_path / "report").hit() == point
    with eventlog.open(store) as log:
        end_offset = stores.open_partition(log).append(b"finishes the roll") + 1
        records = BareStore(store).records(TOPIC, 0)
        assert [record.offset for record in records] == list(range(end_offset))
    assert len(stores.segments(store)) == 2
