"""The index of aborted transactions is compared with the log by verify, and rebuilt from it by repair and recovery."""

from __future__ import annotations

from pathlib import Path

import pytest

import eventlog
from eventlog import EventLog
from tests.support import heads, made_batches
from tests.support.made_batches import values

_TRANSACTIONAL = 0x10
_ENTRY_BYTES = 34


def _fill(log: EventLog) -> None:
    """Three segments, each with a committed transaction, and with two that overlap and are aborted."""
    partition = log.partition("events", 0)
    for number in range(3):
        for producer_id in (7, 8, 9):
            partition.log.append(made_batches.batch(
                values(b"%d" % producer_id), producer_id=producer_id, producer_epoch=0, base_sequence=number,
                attributes=_TRANSACTIONAL,
            ))  # fmt: skip
        for producer_id in (7, 8, 9):
            partition.log.append_marker(producer_id, 0, 0, commit=producer_id == 7)
        partition.append(b"plain")
        if number < 2:
            partition.log.roll()


@pytest.fixture
def store(tmp_path: Path) -> Path:
    with eventlog.open(tmp_path / "store") as log:
        log.create_topic("events", 1)
        _fill(log)
        assert _problems(log) == []
    return tmp_path / "store"


def _indexes(store: Path) -> list[Path]:
    return sorted((store / "logs" / "events-0").glob("*.txnindex"))


def _problems(log: EventLog) -> list[str]:
    return [problem.path.name for report in log.verify() for problem in report.problems]


def _damage(path: Path, how: str) -> None:
    content = path.read_bytes()
    if how == "missing":
        path.unlink()
    elif how == "torn":
        path.write_bytes(content[: _ENTRY_BYTES + 5])
    elif how == "longer":
        path.write_bytes(content + content[:_ENTRY_BYTES])
    else:
        at = {"version": 1, "producer": 9, "first": 17, "last": 25, "stable": 33}[how]
        path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])


@pytest.mark.parametrize("how", ["missing", "torn", "longer", "version", "producer", "first", "last", "stable"])
@pytest.mark.parametrize("number", range(3))
def test_verify_and_the_doctor_tell_and_repair_rebuilds(store: Path, number: int, how: str) -> None:
    paths = _indexes(store)
    right = [path.read_bytes() for path in paths]
    assert [len(content) for content in right] == [2 * _ENTRY_BYTES] * 3
    _damage(paths[number], how)
    findings = [finding for finding in eventlog.diagnose(store, deep=True) if finding.severity == "error"]
    assert any(paths[number].name in finding.text for finding in findings)
    with eventlog.open(store) as log:
        assert set(_problems(log)) == {paths[number].name}
        plan = log.repair("events", 0)
        assert [path.name for path in plan.indexes] == [paths[number].name]
        assert (plan.removals, plan.lost) == ((), ())
        log.repair("events", 0, execute=True)
        assert _problems(log) == []
        assert len(log.partition("events", 0).log.aborted(0, 100)) == 6
    assert [path.read_bytes() for path in paths] == right


@pytest.mark.parametrize("how", ["missing", "torn", "producer", "first", "last"])
def test_recovery_rebuilds_that_of_the_last_segment(store: Path, how: str) -> None:
    path = _indexes(store)[2]
    right = path.read_bytes()
    _damage(path, how)
    heads.simulate_reboot(store / "shared" / "events-0.head")
    with eventlog.open(store) as log:
        log.partition("events", 0)
        assert _problems(log) == []
    assert path.read_bytes() == right


def test_housekeeping_rebuilds_torn_ones(store: Path) -> None:
    path = _indexes(store)[0]
    right = path.read_bytes()
    _damage(path, "torn")
    with eventlog.open(store) as log:
        log.maintain()
    assert path.read_bytes() == right


def test_transactions_that_began_before_the_start_are_no_problem(store: Path) -> None:
    with eventlog.open(store) as log:
        partition = log.partition("events", 0)
        partition.log.append(made_batches.batch(
            values(b"open"), producer_id=7, producer_epoch=0, base_sequence=3, attributes=_TRANSACTIONAL
        ))  # fmt: skip
        partition.log.roll()
        partition.log.append_marker(7, 0, 0, commit=False)
        partition.delete_records(partition.end_offset - 1)
        log.maintain()
        assert len(_indexes(store)) == 1
        assert _problems(log) == []


def test_compaction_leaves_no_problem(store: Path) -> None:
    with eventlog.open(store) as log:
        log.create_topic("compacted", 1, {"cleanup.policy": "compact"})
        partition = log.partition("compacted", 0)
        for number in range(6):
            partition.log.append(made_batches.batch(
                values(b"v"), producer_id=7, producer_epoch=0, base_sequence=number, attributes=_TRANSACTIONAL
            ))  # fmt: skip
            partition.log.append_marker(7, 0, 0, commit=number % 2 == 0)
            partition.log.roll()
        assert _problems(log) == []
        log.maintain(compact_all=True)
        assert _problems(log) == []
