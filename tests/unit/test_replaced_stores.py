"""A store whose path leads elsewhere while it is open: nothing is ever written to what stands there instead."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import pytest

import eventlog
from eventlog import CorruptLogError, EventLog
from tests.support import snapshots, stores
from tests.support.stores import TOPIC

CONFIG = {"segment_bytes": 4096}


def switch_link(parent: Path) -> None:
    """A deployment: `current` names another release."""
    (parent / "new").symlink_to("second")
    (parent / "new").replace(parent / "current")


def move_and_replace(parent: Path) -> None:
    """The store is moved away, and another one put in its place."""
    (parent / "first").rename(parent / "old")
    (parent / "second").rename(parent / "first")
    (parent / "second").symlink_to("first")


@pytest.fixture
def releases(tmp_path: Path) -> Path:
    """A directory with two stores, and a link `current` to the directory of the first one."""
    for name in ("first", "second"):
        stores.create(tmp_path / name / "store", **CONFIG)
    (tmp_path / "current").symlink_to("first")
    return tmp_path


def use_everything(log: EventLog) -> list[int]:
    """What opens files by their names: rolls, reads, topics, groups, housekeeping, repair."""
    partition = stores.open_partition(log)
    offsets = [partition.append(b"%d" % number + bytes(400)) for number in range(40)]
    assert [record.value[:1] for record in stores.everything(partition) if record.value][:3] == [b"0", b"1", b"2"]
    log.create_topic("more")
    log.partition("more", 0).append(b"in a topic made later")
    log.alter_topic(TOPIC, partitions=2)
    with log.consumer(TOPIC, group="workers") as consumer:
        consumer.poll(timeout=10)
        consumer.commit(sync=True)
    partition.delete_records(20)
    assert not log.maintain(compact_all=True).failures
    log.delete_topic("more")
    assert all(not report.problems for report in log.verify())
    return offsets


@pytest.mark.parametrize("change", [switch_link, move_and_replace])
def test_an_open_store_stays_the_one_that_was_opened(releases: Path, change: Callable[[Path], None]) -> None:
    other = releases / "second" / "store"
    with eventlog.open(releases / "current" / "store") as log:
        before = snapshots.content(other)
        change(releases)
        offsets = use_everything(log)
    assert snapshots.content(other.resolve()) == before
    own = releases / ("old" if (releases / "old").exists() else "first") / "store"
    with eventlog.open(own) as log:
        partition = stores.open_partition(log)
        assert [record.offset for record in stores.everything(partition)] == offsets[20:]
        assert list(log.group("workers").committed().values()) == [40]


def test_a_backup_is_one_of_the_store_that_was_opened(releases: Path) -> None:
    with eventlog.open(releases / "current" / "store") as log:
        stores.open_partition(log).append(b"to be kept")
        switch_link(releases)
        log.backup(releases / "backup")
    eventlog.restore(releases / "backup", releases / "restored")
    with eventlog.open(releases / "restored") as log:
        assert [record.value for record in stores.everything(stores.open_partition(log))] == [b"to be kept"]


def test_errors_and_reports_name_the_path_that_the_user_gave(releases: Path) -> None:
    path = releases / "current" / "store"
    with eventlog.open(path) as log:
        partition = stores.open_partition(log)
        for number in range(40):
            partition.append(b"%d" % number + bytes(400))
        first, second, *_ = stores.segments(path)
        damaged = second.read_bytes()
        second.write_bytes(damaged[:100] + b"not this" + damaged[108:])
        report = log.verify(TOPIC)[0]
        first.unlink()
        with pytest.raises(CorruptLogError) as raised:
            partition.read(0)
        plan = log.repair(TOPIC, 0)
    assert str(first.parent) in str(raised.value) and raised.value.path == first.parent
    assert report.directory == first.parent and second in {problem.path for problem in report.problems}
    assert second in {removal.path for removal in plan.removals}
    for each in (raised.value, report, plan):
        assert "/proc/" not in repr(each) + str(vars(each)) and b"/proc/" not in pickle.dumps(each)
