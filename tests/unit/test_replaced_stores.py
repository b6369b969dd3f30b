"""A store whose path leads elsewhere while it is open: nothing is ever written to what stands there instead."""

from __future__ import annotations

import pickle
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

import eventlog
from eventlog import CorruptLogError, EventLog, Partition, StoreOpenError, StoreReplacedError
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


def use_everything(log: EventLog) -> None:
    """What opens files by their names: topics, groups, housekeeping, backups."""
    log.create_topic("more")
    log.partition("more", 0).append(b"in a topic made later")
    log.alter_topic(TOPIC, partitions=2)
    with log.consumer(TOPIC, group="workers") as consumer:
        consumer.poll(timeout=10)
        consumer.commit(sync=True)
    assert not log.maintain(compact_all=True).failures
    log.delete_topic("more")
    assert all(not report.problems for report in log.verify())


def roll_and_delete(partition: Partition) -> list[int]:
    """Use one partition, whose segments are made, read and deleted by name; the offsets of what is left."""
    offsets = [partition.append(b"%d" % number + bytes(400)) for number in range(40)]
    assert [record.offset for record in stores.everything(partition)] == offsets
    partition.delete_records(offsets[20])
    partition.flush()
    return offsets[20:]


@pytest.mark.parametrize("change", [switch_link, move_and_replace])
def test_what_is_appended_and_committed_goes_to_the_store_that_was_opened(
    releases: Path, change: Callable[[Path], None]
) -> None:
    other = releases / "second" / "store"
    before = snapshots.content(other)
    with eventlog.open(releases / "current" / "store", fsync_interval_ms=600_000) as log:  # so that nobody notices
        partition, consumer = stores.open_partition(log), log.consumer(TOPIC, group="workers")
        consumer.poll(timeout=0)
        change(releases)
        offsets = roll_and_delete(partition)
        consumer.seek_to_end()
        consumer.commit(sync=True)
    assert snapshots.content(other.resolve()) == before
    own = releases / ("old" if (releases / "old").exists() else "first") / "store"
    with eventlog.open(own) as log:
        assert [record.offset for record in stores.everything(stores.open_partition(log))] == offsets
        assert list(log.group("workers").committed().values()) == [40]


def test_a_store_that_is_only_moved_goes_on(releases: Path) -> None:
    with eventlog.open(releases / "first" / "store", fsync_interval_ms=20) as log:
        partition = stores.open_partition(log)
        (releases / "first").rename(releases / "moved")
        offsets = roll_and_delete(partition)
        partition.append(b"after the move")
        assert partition.wait(40, timeout=10, durable=True)  # after a round of the thread that looks
        use_everything(log)
        log.backup(releases / "backup")
    eventlog.restore(releases / "backup", releases / "restored")
    for path in (releases / "moved" / "store", releases / "restored"):
        with eventlog.open(path) as log:
            found = [record.offset for record in stores.everything(stores.open_partition(log))]
            assert found == [*offsets, 40]


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


def delete_store(releases: Path) -> None:
    shutil.rmtree(releases / "first")


def delete_shared(releases: Path) -> None:
    shutil.rmtree(releases / "first" / "store" / "shared")


def delete_head(releases: Path) -> None:
    stores.head_file(releases / "first" / "store").unlink()


def delete_logs(releases: Path) -> None:
    shutil.rmtree(releases / "first" / "store" / "logs")


def delete_segment(releases: Path) -> None:
    stores.segments(releases / "first" / "store")[-1].unlink()


def delete_catalog(releases: Path) -> None:
    shutil.rmtree(releases / "first" / "store" / "meta")


@pytest.mark.parametrize("fsync", ["always", "interval", "never"])
@pytest.mark.parametrize(
    "change",
    [switch_link, move_and_replace, delete_store, delete_shared, delete_head, delete_logs, delete_segment, delete_catalog],
)
def test_a_process_hears_that_its_store_is_not_the_one_at_the_path_any_more(
    releases: Path, change: Callable[[Path], None], fsync: str
) -> None:
    path = releases / "current" / "store"
    log = eventlog.open(path, fsync=fsync, fsync_interval_ms=20)
    partition, producer = stores.open_partition(log), log.producer()
    consumer = log.consumer(TOPIC, group="workers")
    producer.send(TOPIC, b"first")
    assert len(consumer.poll(timeout=10)) == 1
    change(releases)
    with pytest.raises(StoreReplacedError, match="open the store again") as raised:
        partition.wait(2**40)  # for ever, unless it is told
    assert str(path) in str(raised.value)
    for use in (
        lambda: partition.append(b"x"),
        lambda: partition.append_many([b"x"]),
        lambda: partition.read(0),
        partition.flush,
        lambda: partition.end_offset,
        lambda: producer.send(TOPIC, b"x"),
        consumer.poll,
        lambda: log.partition(TOPIC, 0),
        lambda: log.create_topic("more"),
        log.topics,
        lambda: log.group("workers"),
        log.maintain,
    ):
        with pytest.raises(StoreReplacedError):
            use()
    with suppress(eventlog.EventLogError):  # what was committed may have lost its place
        log.close()
    assert snapshots.content((releases / "second" / "store").resolve()).keys() >= {"store.json"}


def test_nobody_joins_a_store_of_which_the_shared_files_were_deleted(store: Path) -> None:
    with eventlog.open(store, fsync_interval_ms=60_000) as log:
        stores.open_partition(log).append(b"x")
        shutil.rmtree(store / "shared")
        with pytest.raises(StoreOpenError, match="deleted or damaged while the store was open"):
            eventlog.open(store)
        assert not (store / "shared").exists()
    with eventlog.open(store) as log:  # now that nobody has it open
        assert [record.value for record in stores.everything(stores.open_partition(log))] == [b"x"]
