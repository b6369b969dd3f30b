"""Retention: by age, by size, and by what every group has acknowledged."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import lmdb
import pytest

import eventlog
from eventlog import EventLog, MaintenanceReport, Partition, TopicPartition
from eventlog.maintenance import upkeep
from tests.support import broker_log, stores, workers
from tests.support.processes import Worker

DAY_MS = 86_400_000
PLACE = TopicPartition(stores.TOPIC, 0)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    path = tmp_path / "store"
    stores.create(path, segment_bytes=1024, retention_ms=-1)
    return path


def fill(partition: Partition, count: int, timestamp: int | None = None) -> None:
    """Ten records fill a segment."""
    for _ in range(count):
        partition.append(bytes(32), timestamp=timestamp)


def set_retention(log: EventLog, **config: int | bool) -> None:
    log.alter_topic(stores.TOPIC, config={f"retention.{name}": value for name, value in config.items()})


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def deleted_by(report: MaintenanceReport) -> str:
    assert report.failures == []
    return report.partitions[0].reason if report.partitions else ""


def test_segments_whose_records_are_all_too_old_are_deleted(log: EventLog, partition: Partition) -> None:
    fill(partition, 35, now_ms() - 3 * DAY_MS)
    fill(partition, 30)
    set_retention(log, ms=2 * DAY_MS)
    assert deleted_by(log.maintain()) == "retention.ms"
    assert partition.start_offset == 30  # the fourth segment has a young record
    assert deleted_by(log.maintain()) == ""


def test_a_topic_keeps_what_it_is_given_until_it_is_told_otherwise(log: EventLog) -> None:
    log.create_topic("imported")
    partition = log.partition("imported", 0)
    partition.append(b"of the first day", timestamp=0)
    assert deleted_by(log.maintain()) == ""
    assert list(partition.values()) == [b"of the first day"]
    assert log.topic("imported").settings().effective()["retention.ms"] == -1
    log.alter_topic("imported", config={"retention.ms": 7 * DAY_MS})  # Kafka's default
    assert deleted_by(log.maintain()) == "retention.ms"


def test_the_active_segment_goes_too_once_all_of_it_is_old(log: EventLog, partition: Partition) -> None:
    fill(partition, 15, now_ms() - 3 * DAY_MS)
    set_retention(log, ms=2 * DAY_MS)
    log.maintain()
    assert (partition.start_offset, partition.end_offset) == (15, 15)
    assert partition.append(b"next") == 15
    assert log.sizes(stores.TOPIC)[0].segments == 1


@pytest.mark.parametrize("timestamp", [-1, -5000])
@pytest.mark.parametrize("is_sealed", [False, True], ids=["active", "sealed"])
def test_records_without_timestamps_are_as_old_as_their_file(tmp_path: Path, timestamp: int, is_sealed: bool) -> None:
    store = tmp_path / "store"
    stores.create(store, retention_ms=2 * DAY_MS)
    segments = {0: [broker_log.batch(0, [(b"k", b"v")], timestamp=timestamp)]}
    if is_sealed:
        segments[1] = [broker_log.batch(1, [(b"k", b"v")], timestamp=now_ms())]
    directory = broker_log.put(store, segments)
    with eventlog.open(store) as log:
        partition = stores.open_partition(log)
        assert deleted_by(log.maintain()) == ""
        assert partition.start_offset == 0
    os.utime(directory / f"{0:020d}.log", (0, time.time() - 3 * DAY_MS / 1000))
    with eventlog.open(store) as log:  # opening and closing is no writing
        stores.open_partition(log)
    with eventlog.open(store) as log:
        partition = stores.open_partition(log)
        assert deleted_by(log.maintain()) == "retention.ms"
        assert partition.start_offset == 1


def test_what_a_broker_keeps_beside_a_segment_goes_with_it(log: EventLog, store: Path, partition: Partition) -> None:
    fill(partition, 35)
    beside = [path.with_suffix(suffix) for path in stores.segments(store)[:2] for suffix in (".txnindex", ".snapshot")]
    for path in beside:
        path.write_bytes(b"of a broker")
    partition.delete_records(10)
    assert [path.exists() for path in beside] == [False, False, True, True]


def test_what_goes_wrong_in_one_place_stops_no_other(store: Path) -> None:
    with eventlog.open(store) as log:
        log.create_topic("acked", config={"retention.acked": True})
        log.partition("acked", 0).append(b"v")
        log.create_group("broken")
        fill(stores.open_partition(log), 35)
        set_retention(log, bytes=1024)
    with lmdb.open(str(store / "meta"), max_dbs=16) as environment:
        groups = environment.open_db(b"groups")
        with environment.begin(write=True, db=groups) as transaction:
            transaction.put(b"broken", b"rotten")
    with eventlog.open(store) as log:
        report = log.maintain()
        assert {subject for subject, _ in report.failures} == {"acked", "groups"}
        assert stores.open_partition(log).start_offset > 0


def test_a_young_record_that_the_index_does_not_know_keeps_its_segment(log: EventLog, store: Path) -> None:
    partition = stores.open_partition(log)
    fill(partition, 5, now_ms() - 3 * DAY_MS)
    fill(partition, 5)
    fill(partition, 20)
    index = stores.segments(store)[0].with_suffix(".timeindex")
    index.write_bytes((now_ms() - 3 * DAY_MS).to_bytes(8, "big") + (4).to_bytes(4, "big"))  # it lost its last entry
    set_retention(log, ms=2 * DAY_MS)
    assert deleted_by(log.maintain()) == ""
    assert partition.start_offset == 0


def test_the_oldest_segments_go_until_the_size_is_kept(log: EventLog, partition: Partition) -> None:
    fill(partition, 100)
    before = log.sizes(stores.TOPIC)[0].size_bytes
    set_retention(log, bytes=before // 2)
    assert deleted_by(log.maintain()) == "retention.bytes"
    after = log.sizes(stores.TOPIC)[0].size_bytes
    assert before // 2 <= after < before // 2 + 1024
    assert partition.start_offset > 0 and partition.read(partition.start_offset)


def test_what_every_group_has_acknowledged_is_deleted_and_nothing_else(log: EventLog, partition: Partition) -> None:
    set_retention(log, acked=True)
    fill(partition, 100)
    assert deleted_by(log.maintain()) == ""  # no group, no acknowledgement
    with log.consumer(group="fast") as fast, log.consumer(group="slow") as slow:
        for consumer, count in ((fast, 60), (slow, 25)):
            consumer.assign([PLACE])
            consumer.poll(timeout=0, max_records=count)
            consumer.commit()
        report = log.maintain()
        assert deleted_by(report) == "retention.acked"
        assert partition.start_offset == 20
        assert [(held.group, held.committed, held.records) for held in report.partitions[0].held_back_by] == [
            ("slow", 25, 75), ("fast", 60, 40),
        ]  # fmt: skip
        slow.poll(timeout=0, max_records=100)
        slow.commit()
        log.maintain()
        assert partition.start_offset == 60


def test_a_group_that_has_committed_nothing_yet_holds_everything(log: EventLog, partition: Partition) -> None:
    set_retention(log, acked=True)
    fill(partition, 50)
    with log.consumer(stores.TOPIC, group="new") as new, log.consumer(group="done") as done:
        done.assign([PLACE])
        done.seek_to_end()
        done.commit({PLACE: 50})
        new.poll(timeout=0, max_records=1)
        log.maintain()
        assert partition.start_offset == 0


def test_age_and_size_bound_what_a_group_that_is_behind_can_hold(log: EventLog, partition: Partition) -> None:
    set_retention(log, acked=True, bytes=2048)
    fill(partition, 100)
    with log.consumer(group="stuck") as stuck:
        stuck.assign([PLACE])
        stuck.poll(timeout=0, max_records=1)
        stuck.commit()
        assert deleted_by(log.maintain()) == "retention.bytes"
        assert partition.start_offset > 50
        assert stuck.poll(timeout=0)[0].offset == partition.start_offset


def test_a_compacted_topic_keeps_everything_unless_it_deletes_too(log: EventLog, store: Path) -> None:
    for policy, remaining in (("compact", 20), ("compact,delete", 0)):
        config = {"cleanup.policy": policy, "segment.bytes": 1024, "retention.ms": DAY_MS}
        log.create_topic(policy.replace(",", "-"), config=config)
        partition = log.partition(policy.replace(",", "-"), 0)
        for number in range(20):
            partition.append(bytes(32), b"%d" % number, timestamp=now_ms() - 3 * DAY_MS)
        log.maintain()
        assert sum(1 for _ in partition.values()) == remaining


def test_groups_that_nobody_uses_go_and_others_stay(log: EventLog, partition: Partition) -> None:
    fill(partition, 10)
    for name in ("left", "in-use"):
        consumer = log.consumer(stores.TOPIC, group=name)
        consumer.poll(timeout=0)
        consumer.commit()
        if name == "left":
            consumer.close()
    assert log.maintain().expired_groups == []  # a week has not gone by
    while not (expired := log.maintain(group_retention_ms=0).expired_groups):
        continue  # within the millisecond of its last commit it is in use
    assert expired == ["left"]
    assert log.groups() == ["in-use"]
    consumer.commit()
    consumer.close()


@pytest.mark.parametrize("policy", ["delete", "compact"])
def test_what_a_deletion_that_was_killed_has_left_goes_with_the_next_round(log: EventLog, store: Path, policy: str) -> None:
    partition = stores.open_partition(log)
    fill(partition, 35)
    log.alter_topic(stores.TOPIC, config={"cleanup.policy": policy})
    first = stores.segments(store)[0]
    content = first.read_bytes()
    partition.delete_records(15)
    first.write_bytes(content)
    done = log.maintain().partitions[0]
    assert (done.reason, done.deleted_segments, done.deleted_records, done.start_offset) == ("log.start.offset", 1, 0, 15)
    assert not first.exists() and partition.read(15)[0].offset == 15


def test_a_round_goes_by_the_settings_as_they_are_when_it_comes_to_a_partition(
    log: EventLog, partition: Partition, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.create_topic("before", config={"retention.ms": DAY_MS})  # looked after first
    log.partition("before", 0).append(b"x", timestamp=0)
    fill(partition, 35, now_ms() - 3 * DAY_MS)
    set_retention(log, ms=DAY_MS)
    delete_doomed = upkeep.delete_doomed

    def keep_the_other(*arguments: Any) -> Any:
        set_retention(log, ms=-1)
        return delete_doomed(*arguments)

    monkeypatch.setattr(upkeep, "delete_doomed", keep_the_other)
    report = log.maintain()
    assert [(done.topic, done.reason) for done in report.partitions] == [("before", "retention.ms")]
    assert partition.start_offset == 0


def test_only_one_process_does_it_at_a_time_and_a_dead_one_is_in_nobodys_way(log: EventLog, store: Path) -> None:
    with Worker(workers.hold_maintenance, store) as holder:
        holder.receive()
        assert log.maintain().is_elsewhere
        holder.kill()
        assert not log.maintain().is_elsewhere


def test_a_thread_can_do_it_again_and_again(store: Path) -> None:
    with eventlog.open(store) as log:
        partition = stores.open_partition(log)
        set_retention(log, bytes=1024)
        log.start_maintenance(interval_ms=5)
        log.start_maintenance(interval_ms=5)
        while partition.start_offset < 100:
            fill(partition, 10)
        assert partition.read(partition.start_offset)


def test_a_thousand_partitions_are_not_kept_open(store: Path, log: EventLog) -> None:
    log.create_topic("wide", partitions=50)
    for number in range(50):
        with eventlog.open(store) as other:
            other.partition("wide", number).append(b"v")
    before = len(os.listdir("/proc/self/fd"))
    assert log.maintain().failures == []
    assert len(os.listdir("/proc/self/fd")) <= before + 2
