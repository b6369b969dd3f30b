"""A process dies between any two steps of a change that the catalog decides and mapped files follow: others finish it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

import eventlog
from eventlog import (
    Consumer,
    EventLog,
    InvalidArgumentError,
    LockTimeoutError,
    StaleMemberError,
    TopicPartition,
)
from tests.support import fault_points, stores, workers
from tests.support.fault_points import Fault
from tests.support.kill_steps import Operate, kill_at_every_step
from tests.support.stores import TOPIC

GROUP = "billing"
PLACES = [TopicPartition(TOPIC, number) for number in range(2)]
KEYS = 3
RECORDS = 60


@contextmanager
def keyed_topic(store: Path) -> Iterator[EventLog]:
    """Two partitions of several segments, which this process has open."""
    stores.create(store, partitions=2, segment_bytes=1024)
    with eventlog.open(store) as log:
        for number in range(RECORDS):
            for partition in range(2):
                log.partition(TOPIC, partition).append(b"%d" % number * 20, key=b"%d" % (number % KEYS))
        yield log


def compact_from_now_on(log: EventLog) -> None:
    log.alter_topic(TOPIC, config={"cleanup.policy": "compact", "segment.bytes": 4096})


def settings_hold_everywhere(log: EventLog) -> None:
    """Housekeeping by another handle, and then everybody goes by what the catalog says, and reads the latest of each key."""
    with eventlog.open(log.path) as other:
        assert other.maintain(compact_all=True).failures == []
        settings = other.topic(TOPIC).settings()
        for each in (log, other):
            assert [report.problems for report in each.verify()] == [[], []]
            for number in range(2):
                partition = each.partition(TOPIC, number)
                latest = {record.key: record.offset for record in partition.records()}
                assert latest == {b"%d" % ((RECORDS - back) % KEYS): RECORDS - back for back in range(1, KEYS + 1)}
                if settings.is_compacted:
                    with pytest.raises(InvalidArgumentError, match="needs a key"):
                        partition.append(b"no key")


def test_altered_settings_hold_for_everybody_though_the_process_that_altered_them_died(tmp_path: Path) -> None:
    sections = ("settings.", "gate.left")
    died = kill_at_every_step(tmp_path, sections, keyed_topic, compact_from_now_on, settings_hold_everywhere)
    assert {"settings.gaps", "settings.locked", "settings.limits", "settings.counted", "gate.left"} <= died


def test_a_partition_that_could_not_be_told_of_new_settings_is_read_right_after_compaction(tmp_path: Path) -> None:
    store = tmp_path / "store"
    with keyed_topic(store) as log:
        fault = Fault("append.locked", action="stop")  # a process that is stopped while it has the append mutex
        arguments = (workers.append_and_roll, store, 1, 1)
        with fault_points.interpreter(*arguments, report=tmp_path / "report", fault=fault) as stopped:
            stopped.wait_until_stopped()
            with eventlog.open(store, lock_timeout_ms=50, fsync="never") as other:
                with pytest.raises(LockTimeoutError, match="the topic was altered, and the partition follows"):
                    compact_from_now_on(other)
                assert any("older settings" in finding.text for finding in eventlog.diagnose(store))
                assert {place for place, _ in other.maintain(compact_all=True).failures} <= {f"{TOPIC}/0"}
                for each in (log, other):
                    assert all(list(each.partition(TOPIC, number).records()) for number in range(2))
        with eventlog.open(store) as other:
            other.partition(TOPIC, 0)
            with pytest.raises(InvalidArgumentError, match="needs a key"):
                log.partition(TOPIC, 0).append(b"no key")


class Scene(NamedTuple):
    """Another process that goes on: its store, and a consumer that has committed 5 of 10 records in each partition."""

    log: EventLog
    consumer: Consumer


@contextmanager
def group_at_work(store: Path) -> Iterator[Scene]:
    """A member of the group owns both partitions."""
    stores.create(store, partitions=2)
    with eventlog.open(store, fsync_interval_ms=60_000) as log:
        for partition in PLACES:
            log.partition(*partition).append_many([b"%d" % number for number in range(10)])
        with log.consumer(TOPIC, group=GROUP) as consumer:
            consumer.poll(1)
            consumer.commit(dict.fromkeys(PLACES, 5))
            for partition in PLACES:
                consumer.seek(partition, 5)
            yield Scene(log, consumer)


@contextmanager
def group_without_members(store: Path) -> Iterator[Scene]:
    """A consumer reads both partitions by `assign`; the catalog does not have its last commit."""
    stores.create(store, partitions=2)
    with eventlog.open(store, fsync_interval_ms=60_000) as log:
        for partition in PLACES:
            log.partition(*partition).append_many([b"%d" % number for number in range(10)])
        with log.consumer(group=GROUP) as consumer:
            consumer.assign(PLACES)
            consumer.commit(dict.fromkeys(PLACES, 3), sync=True)
            consumer.commit(dict.fromkeys(PLACES, 5))
            yield Scene(log, consumer)


def maintain(log: EventLog) -> None:
    """Housekeeping by another handle, which finishes what a process that died has begun."""
    with eventlog.open(log.path) as other:
        assert other.maintain().failures == []


def work_off(consumer: Consumer) -> list[tuple[int, int]]:
    """Read and commit up to the end; commits may be refused once, where the group was reset."""
    read: list[tuple[int, int]] = []
    refused = 0
    while records := consumer.poll(0.05):
        read += [(record.partition, record.offset) for record in records]
        try:
            consumer.commit()
        except StaleMemberError:
            refused += 1
            assert refused <= len(PLACES)
    return read


def reset(log: EventLog) -> None:
    log.group(GROUP).reset(dict.fromkeys(PLACES, 2))


def reset_holds_everywhere_or_nowhere(scene: Scene) -> None:
    is_reset = "reset" in {entry.kind for entry in scene.log.group(GROUP).history()}
    assert set(scene.log.group(GROUP).committed().values()) == {2 if is_reset else 5}
    maintain(scene.log)
    assert not any("were reset by a process that died" in finding.text for finding in eventlog.diagnose(scene.log.path))
    read = work_off(scene.consumer)
    assert set(read) >= {(number, offset) for number in range(2) for offset in range(2 if is_reset else 5, 10)}
    assert scene.log.group(GROUP).committed() == dict.fromkeys(PLACES, 10)
    maintain(scene.log)
    assert scene.log.group(GROUP).committed() == dict.fromkeys(PLACES, 10), "a reset is not done twice"
    assert all(change.after != 2 for entry in scene.log.group(GROUP).history() for change in entry.changes) or is_reset


def test_a_reset_is_done_everywhere_or_nowhere_though_the_process_that_did_it_died(tmp_path: Path) -> None:
    sections = ("reset.", "gate.left")
    died = kill_at_every_step(tmp_path, sections, group_at_work, reset, reset_holds_everywhere_or_nowhere)
    assert {"reset.begun", "reset.taken", "reset.stored", "reset.completed", "reset.unlocked", "gate.left"} <= died


def members_go_on_after_a_reset(scene: Scene) -> None:
    is_reset = "reset" in {entry.kind for entry in scene.log.group(GROUP).history()}
    work_off(scene.consumer)
    scene.log.partition(*PLACES[0]).append(b"more")
    scene.log.partition(*PLACES[1]).append(b"more")
    work_off(scene.consumer)
    assert scene.log.group(GROUP).committed() == dict.fromkeys(PLACES, 11) or is_reset
    maintain(scene.log)
    work_off(scene.consumer)
    assert scene.log.group(GROUP).committed() == dict.fromkeys(PLACES, 11)


def test_members_of_a_group_whose_reset_died_read_on_and_commit(tmp_path: Path) -> None:
    died = kill_at_every_step(tmp_path, ("reset.stored",), group_at_work, reset, members_go_on_after_a_reset)
    assert died == {"reset.stored"}


def delete_group(log: EventLog) -> None:
    log.group(GROUP).delete()


def group_is_whole_or_gone(scene: Scene) -> None:
    is_there = GROUP in scene.log.groups()
    assert not is_there or scene.log.group(GROUP).committed() == dict.fromkeys(PLACES, 5)
    maintain(scene.log)
    files = {path.name for path in (Path(scene.log.path) / "shared").glob("*.acks")}
    assert files == ({f"{GROUP}.acks"} if is_there else set())
    with scene.log.consumer(group=GROUP) as another:
        another.assign(PLACES)
        assert another.committed(PLACES[0]) == (5 if is_there else None)
    scene.consumer.commit(dict.fromkeys(PLACES, 9))
    assert scene.log.group(GROUP).committed() == dict.fromkeys(PLACES, 9)


def test_a_group_whose_deletion_died_has_all_commits_or_is_gone(tmp_path: Path) -> None:
    sections = ("group.refusing", "gate.entered", "gate.left", "group.changed")
    died = kill_at_every_step(tmp_path, sections, group_without_members, delete_group, group_is_whole_or_gone)
    assert set(sections) <= died


def join(log: EventLog) -> None:
    log.consumer(TOPIC, group=GROUP).poll(0)


def leave(log: EventLog) -> None:
    consumer = log.consumer(TOPIC, group=GROUP)
    consumer.poll(0)
    consumer.close()


def the_member_has_everything_again(scene: Scene) -> None:
    scene.log.partition(*PLACES[0]).append(b"more")
    scene.log.partition(*PLACES[1]).append(b"more")
    while scene.consumer.assignment() != set(PLACES):
        scene.consumer.poll(5)
        scene.consumer.commit()
    while any(lag != 0 for lag in scene.log.group(GROUP).lag().values()):
        scene.consumer.poll(5)
        scene.consumer.commit()
    assert len(scene.log.group(GROUP).describe().members) == 1


@pytest.mark.parametrize("operate", [join, leave], ids=["join", "leave"])
def test_a_member_that_died_joining_or_leaving_holds_nobody_up(tmp_path: Path, operate: Operate) -> None:
    sections = ("seat.", "group.changed")
    died = kill_at_every_step(tmp_path, sections, group_at_work, operate, the_member_has_everything_again)
    assert {"seat.seen", "group.changed"} <= died


def delete_topic(log: EventLog) -> None:
    log.delete_topic(TOPIC)


def nothing_of_the_topic_is_left(scene: Scene) -> None:
    is_there = TOPIC in scene.log.topics()
    maintain(scene.log)
    with scene.log.consumer(group=GROUP) as another:
        if is_there:
            another.assign(PLACES)
            assert another.committed(PLACES[0]) == 5
            scene.log.delete_topic(TOPIC)
        scene.log.create_topic(TOPIC, 2)
        assert scene.log.group(GROUP).committed() == {}
        another.assign(PLACES)
        scene.log.partition(*PLACES[0]).append(b"first")
        assert [record.value for record in another.poll(1)] == [b"first"]
        another.commit()
        maintain(scene.log)
        assert scene.log.group(GROUP).committed() == {PLACES[0]: 1}


def test_a_topic_whose_deletion_died_is_forgotten_by_groups(tmp_path: Path) -> None:
    sections = ("deleted.", "reset.stored", "gate.left")
    died = kill_at_every_step(tmp_path, sections, group_without_members, delete_topic, nothing_of_the_topic_is_left)
    assert {"deleted.poisoned", "reset.stored", "gate.left"} <= died


@contextmanager
def a_segment_is_lost(store: Path) -> Iterator[tuple[Path, range]]:
    """The disk has lost one of several segments, with these offsets; nobody has the partition open."""
    stores.create(store, segment_bytes=1024)
    with eventlog.open(store) as log:
        for number in range(RECORDS):
            log.partition(TOPIC, 0).append(b"%d" % number * 20)
    lost, following = stores.segments(store)[1:3]
    for path in lost.parent.glob(f"{lost.stem}.*"):
        path.unlink()
    yield store, range(int(lost.stem), int(following.stem))


def repair(log: EventLog) -> None:
    log.repair(TOPIC, 0, execute=True)


def the_repair_can_be_done_again(scene: tuple[Path, range]) -> None:
    store, lost = scene
    findings = [finding.text for finding in eventlog.diagnose(store)]
    with eventlog.open(store) as log:
        plan = log.repair(TOPIC, 0)
        assert plan.was_interrupted == any("its repair was interrupted" in text for text in findings)
        assert plan.lost == ((lost,) if plan.is_needed else ())
        done = log.repair(TOPIC, 0, execute=True)
        assert (done.was_executed, done.lost, done.was_interrupted) == (plan.is_needed, plan.lost, plan.was_interrupted)
        assert not log.repair(TOPIC, 0).is_needed
        assert [record.offset for record in log.partition(TOPIC, 0).records()] == [
            offset for offset in range(RECORDS) if offset not in lost
        ]
        assert log.partition(TOPIC, 0).append(b"next") == RECORDS
    assert not any("its repair was interrupted" in finding.text for finding in eventlog.diagnose(store))


def test_a_repair_that_died_is_done_again_and_says_what_is_lost(tmp_path: Path) -> None:
    sections = ("settings.", "gate.left", "catalog.changed")
    died = kill_at_every_step(tmp_path, sections, a_segment_is_lost, repair, the_repair_can_be_done_again, passes=3)
    assert {"settings.locked", "settings.counted", "catalog.changed"} <= died
