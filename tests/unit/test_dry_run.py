"""`maintain(dry_run=True)`: what a round of housekeeping would do, and why; and that nothing is done."""

from __future__ import annotations

from pathlib import Path

import pytest

import eventlog
from eventlog import EventLog, InvalidTypeError, MaintenanceReport, TopicPartition
from tests.support import snapshots, stores
from tests.support.heads import simulate_reboot

DAY_MS = 86_400_000
NOON_MS = 1_600_000_000_000


@pytest.fixture
def store(tmp_path: Path) -> Path:
    path = tmp_path / "store"
    with eventlog.open(path) as log:
        small = {"segment.bytes": 1024, "retention.ms": -1}
        for name, config in (
            ("aged", {**small, "retention.ms": DAY_MS}),
            ("sized", {**small, "retention.bytes": 3000}),
            ("acked", {**small, "retention.acked": True}),
            ("compact", {**small, "cleanup.policy": "compact"}),
            ("kept", small),
        ):
            log.create_topic(name, config=config)
            for number in range(100):
                log.partition(name, 0).append(bytes(32), b"key-%d" % (number % 10), timestamp=NOON_MS + number)
        with log.consumer(group="readers") as consumer:
            consumer.assign([TopicPartition("acked", 0)])
            consumer.commit({TopicPartition("acked", 0): 55})
    return path


def deletions(report: MaintenanceReport) -> list[tuple[object, ...]]:
    return [
        (done.topic, done.partition, done.reason, done.start_offset, done.deleted_segments, done.deleted_records,
         done.deleted_bytes, done.oldest_ms, done.newest_ms)
        for done in report.partitions
    ]  # fmt: skip


def test_it_says_what_would_go_and_by_which_setting_and_changes_nothing(store: Path) -> None:
    with eventlog.open(store, create=False) as log:
        names = log.topics()
        before = {name: list(log.partition(name, 0).records()) for name in names}
        content = snapshots.content(store / "logs")
        report = log.maintain(dry_run=True)
        assert (report.is_dry_run, report.failures) == (True, [])
        assert snapshots.content(store / "logs") == content
        assert {name: list(log.partition(name, 0).records()) for name in names} == before
        found = {done.topic: done for done in report.partitions}
        assert sorted(found) == ["acked", "aged", "compact", "sized"]
        aged, sized, acked, compacted = found["aged"], found["sized"], found["acked"], found["compact"].compacted
        assert (aged.reason, aged.start_offset, aged.deleted_records) == ("retention.ms", 100, 100)
        assert (aged.oldest_ms, aged.newest_ms) == (NOON_MS, NOON_MS + 99)
        assert aged.deleted_segments == len(stores.segments(store, topic="aged"))
        assert aged.deleted_bytes == log.sizes("aged")[0].size_bytes
        assert (sized.reason, acked.reason) == ("retention.bytes", "retention.acked")
        assert acked.start_offset == acked.deleted_records <= 55 and acked.newest_ms == NOON_MS + acked.deleted_records - 1
        assert [held.group for held in acked.held_back_by] == ["readers"]
        assert compacted is not None and compacted.reason == "min.cleanable.dirty.ratio"


@pytest.mark.parametrize("compact_all", [False, True])
def test_a_round_does_just_what_was_said(store: Path, compact_all: bool) -> None:
    with eventlog.open(store, create=False) as log:
        said = log.maintain(dry_run=True, compact_all=compact_all)
        done = log.maintain(compact_all=compact_all)
        assert deletions(done) == deletions(said)
        assert [each.compacted for each in done.partitions] == [each.compacted for each in said.partitions]
        assert log.maintain(dry_run=True).partitions == log.maintain().partitions


def test_an_active_segment_without_records_is_not_counted(store: Path) -> None:
    with eventlog.open(store, create=False) as log:
        log.maintain(compact_all=True)  # what is compacted was sealed before, so the active segment is empty
        *sealed, active = stores.segments(store, topic="compact")
        assert active.stat().st_size == 0
        log.alter_topic("compact", config={"cleanup.policy": "compact,delete", "retention.ms": DAY_MS})
        said = log.maintain(dry_run=True)
        assert {done.topic: done.deleted_segments for done in said.partitions}["compact"] == len(sealed)
        assert deletions(log.maintain()) == deletions(said)


def test_topics_and_groups_that_would_go_and_what_is_rotten_are_named_and_stay(store: Path) -> None:
    index = stores.segments(store, topic="kept")[0].with_suffix(".index")
    index.unlink()
    with eventlog.open(store, create=False) as log:
        log.store.catalog.topics.begin_deletion("aged")
        while not (report := log.maintain(dry_run=True, group_retention_ms=0)).expired_groups:
            continue  # within the millisecond of its last commit it is in use
        assert (report.expired_groups, report.deleted_topics) == (["readers"], ["aged"])
        assert [done.rebuilt for done in report.partitions if done.topic == "kept"] == [(index,)]
        assert log.groups() == ["readers"] and not index.exists()
        assert [topic.name for topic in log.store.catalog.topics.being_deleted()] == ["aged"]
        assert log.maintain().deleted_topics == ["aged"]


def test_a_damaged_partition_is_told_by_a_round_and_by_a_dry_run_and_loses_nothing(store: Path) -> None:
    last = stores.segments(store, topic="aged")[-1]
    last.write_bytes(last.read_bytes()[:100])
    simulate_reboot(stores.head_file(store, 0, "aged"))
    with eventlog.open(store, create=False) as log:
        for dry_run in (True, False):
            [(subject, reason)] = log.maintain(dry_run=dry_run).failures
            assert subject == "aged/0" and last.name in reason
        assert log.partition("aged", 0).start_offset == 0
        assert log.partition("sized", 0).start_offset > 0  # the rest of the round was done


def test_it_is_a_bool(log: EventLog) -> None:
    with pytest.raises(InvalidTypeError, match="dry_run"):
        log.maintain(dry_run=1)  # type: ignore[arg-type]
