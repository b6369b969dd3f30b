"""cleanup.policy=compact: the latest value of each key stays, at its offset, while everything else goes on."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

import eventlog
from eventlog import CorruptLogError, EventLog, InvalidArgumentError, Partition, Record, TopicPartition
from eventlog.clock import now_ms
from eventlog.storage.cleaning import compaction
from eventlog.storage.cleaning.cleaner import Cleaner
from eventlog.storage.cleaning.retention import time_written
from tests.support import kafka_format, stores
from tests.support.heads import simulate_reboot

DAY_MS = 86_400_000


@pytest.fixture
def store(tmp_path: Path) -> Path:
    path = tmp_path / "store"
    stores.create(path, cleanup_policy="compact", segment_bytes=4096, delete_retention_ms=0)
    return path


def latest(records: list[Record], sealed_end: int) -> list[Record]:
    """What compaction may leave at least: the last record of each key, and all that is not sealed."""
    last = {record.key: record.offset for record in records if record.offset < sealed_end}
    return [record for record in records if record.offset >= sealed_end or last[record.key] == record.offset]


def fill(partition: Partition, records: int, keys: int, *, seed: int = 1, codec: str | None = None) -> None:
    choices = random.Random(seed)
    for _ in range(records // 5):
        values = [b"%d" % choices.randrange(10**9) * choices.randrange(1, 5) for _ in range(5)]
        partition.append_many(values, keys=[b"key-%d" % choices.randrange(keys) for _ in values], compression=codec)


def sealed_end(store: Path) -> int:
    return int(stores.segments(store)[-1].stem)


@pytest.mark.parametrize("codec", [None, "gzip", "zstd", "lz4", "snappy"])
def test_the_latest_value_of_each_key_stays_with_its_offset_and_everything_else(log: EventLog, store: Path, codec: str) -> None:
    partition = stores.open_partition(log)
    fill(partition, 2000, 50, codec=codec)
    before = stores.everything(partition)
    report = log.maintain()
    assert report.failures == []
    done = report.partitions[0].compacted
    assert done is not None
    after = stores.everything(partition)
    assert after == latest(before, sealed_end(store))
    assert list(partition.records()) == after
    assert (done.records_before, done.records_after) == (sealed_end(store), sum(r.offset < sealed_end(store) for r in after))
    assert done.bytes_after < done.bytes_before / 5
    assert len(stores.segments(store)) <= 4
    assert log.verify()[0].problems == []


def test_every_offset_can_be_sought_afterwards_and_gives_the_next_record(log: EventLog, store: Path) -> None:
    partition = stores.open_partition(log)
    fill(partition, 1000, 30)
    log.maintain()
    after = stores.everything(partition)
    for offset in range(partition.end_offset):
        assert partition.read(offset, max_records=1) == [next(record for record in after if record.offset >= offset)]


def test_a_record_that_was_read_just_now_is_not_read_again_from_the_file_that_was_replaced(log: EventLog) -> None:
    partition = stores.open_partition(log)
    fill(partition, 1000, 30)
    partition.read(5, max_records=1)
    assert partition.read(0, max_records=1)[0].offset == 0
    log.maintain()
    assert partition.read(0, max_records=1)[0].offset == next(partition.records()).offset > 0


def test_it_is_still_so_after_a_reopening_and_a_reboot(store: Path) -> None:
    with eventlog.open(store) as log:
        fill(stores.open_partition(log), 1000, 30)
        log.maintain()
        expected = stores.everything(stores.open_partition(log))
    simulate_reboot(stores.head_file(store))
    with eventlog.open(store) as log:
        assert stores.everything(stores.open_partition(log)) == expected
        assert log.verify()[0].problems == []


def test_a_deleted_key_goes_with_its_tombstone_once_the_time_is_up(log: EventLog, store: Path) -> None:
    partition = stores.open_partition(log)
    partition.append(b"value", b"gone")
    partition.append(None, b"gone")
    fill(partition, 600, 20)
    log.maintain()
    assert [(record.offset, record.value) for record in stores.everything(partition) if record.key == b"gone"] == [(1, None)]
    fill(partition, 600, 20)
    log.maintain(compact_all=True)
    assert not [record for record in stores.everything(partition) if record.key == b"gone"]


def test_a_tombstone_stays_as_long_as_the_topic_says(log: EventLog, store: Path) -> None:
    log.alter_topic(stores.TOPIC, config={"delete.retention.ms": DAY_MS})
    partition = stores.open_partition(log)
    partition.append(None, b"gone", timestamp=12_345)
    for _ in range(3):
        fill(partition, 600, 20)
        log.maintain(compact_all=True)
    found = [record for record in stores.everything(partition) if record.key == b"gone"]
    assert [(record.offset, record.value, record.timestamp) for record in found] == [(0, None, 12_345)]


def test_tombstones_that_are_due_go_though_nobody_appends_any_more(log: EventLog, store: Path) -> None:
    partition = stores.open_partition(log)
    for value in (b"v", None):
        for number in range(300):
            partition.append(value, b"key-%d" % number)
    log.maintain(compact_all=True)
    assert {record.value for record in partition.records()} == {None}
    done = log.maintain().partitions[0].compacted
    assert done is not None and (done.reason, done.records_after) == ("delete.retention.ms", 0)
    assert list(partition.records()) == []
    assert log.maintain().partitions == []


def test_tombstones_that_a_pass_of_an_earlier_version_has_left_are_looked_for_once(log: EventLog, store: Path) -> None:
    partition = stores.open_partition(log)
    partition.append(None, b"gone")
    fill(partition, 600, 20)
    log.maintain()
    (stores.partition_directory(store) / "tombstone-horizon-checkpoint").unlink()
    assert [done.compacted.reason for done in log.maintain().partitions if done.compacted] == ["delete.retention.ms"]
    assert log.maintain().partitions == []


def test_what_is_deleted_is_gone_within_the_lag_that_the_topic_allows(log: EventLog, store: Path) -> None:
    log.alter_topic(stores.TOPIC, config={"max.compaction.lag.ms": 1000})
    partition = stores.open_partition(log)
    partition.append(b"secret", b"person", timestamp=now_ms() - 10_000)
    partition.append(None, b"person", timestamp=now_ms() - 10_000)
    partition.append(b"other", b"other", timestamp=now_ms() - 8_000)  # an append rolls by the same setting
    assert [int(path.stem) for path in stores.segments(store)] == [0, 2]
    partition.append(b"secret", b"other person", timestamp=now_ms() - 8_000)
    partition.append(b"instead", b"other person", timestamp=now_ms() - 8_000)
    for _ in range(2):  # tombstones stay for a pass
        log.maintain()
    assert b"secret" not in partition.values() and b"person" not in [record.key for record in partition.records()]


def test_the_first_dirty_record_decides_whether_it_has_waited_too_long(log: EventLog, store: Path) -> None:
    config = {"max.compaction.lag.ms": DAY_MS, "min.cleanable.dirty.ratio": 1.0, "segment.bytes": 1024}
    log.alter_topic(stores.TOPIC, config=config)
    partition = stores.open_partition(log)
    partition.append(b"old", b"k", timestamp=now_ms() - 2 * DAY_MS)
    while len(stores.segments(store)) < 3:
        partition.append(bytes(100), b"k", timestamp=now_ms() - DAY_MS // 2)
    done = log.maintain().partitions[0].compacted
    assert done is not None and done.reason == "max.compaction.lag.ms"
    assert b"old" not in partition.values()


def test_an_idle_segment_is_sealed_and_compacted_once_segment_ms_has_gone_by(log: EventLog, store: Path) -> None:
    log.alter_topic(stores.TOPIC, config={"segment.ms": DAY_MS})
    partition = stores.open_partition(log)
    for number in range(10):
        partition.append(b"%d" % number, b"k")
    assert log.maintain().partitions == [] and len(list(partition.records())) == 10
    partition.append(b"more", b"k", timestamp=now_ms() + DAY_MS + 1)  # rolls it
    log.alter_topic(stores.TOPIC, config={"segment.ms": 1})
    log.create_topic("old", config={"cleanup.policy": "compact"})
    old = log.partition("old", 0)
    for number in range(10):
        old.append(b"%d" % number, b"k", timestamp=number)
    log.maintain()
    assert list(old.values()) == [b"9"] and list(partition.values()) == [b"9", b"more"]
    assert old.append(b"next", b"k") == 10


def test_old_records_that_come_slowly_are_sealed_one_segment_at_a_time(log: EventLog, store: Path) -> None:
    config = {"segment.ms": DAY_MS, "delete.retention.ms": DAY_MS, "min.cleanable.dirty.ratio": 1.0}
    log.alter_topic(stores.TOPIC, config=config)
    partition = stores.open_partition(log)
    for number in range(5):
        partition.append(b"%d" % number, b"k", timestamp=number)
        log.maintain()
    assert len(stores.segments(store)) == 2  # the second one waits until the first is compacted


def test_what_is_dirty_in_a_topic_that_nobody_writes_to_any_more_waits_no_longer_than_tombstones(
    log: EventLog, store: Path
) -> None:
    partition = stores.open_partition(log)
    fill(partition, 1000, 900)
    log.maintain(compact_all=True)
    log.alter_topic(stores.TOPIC, config={"delete.retention.ms": DAY_MS})
    partition.append(b"old", b"k")
    partition.append(b"new", b"k")
    partition.log.roll()
    log.maintain()
    assert b"old" in list(partition.values())
    path = stores.segments(store)[-2]
    log.alter_topic(stores.TOPIC, config={"delete.retention.ms": 0})
    while time_written(path) >= now_ms():
        continue
    log.maintain()
    assert b"old" not in list(partition.values()) and b"new" in list(partition.values())


def test_what_can_be_compacted_is_compacted_when_that_is_asked_for_also_in_the_active_segment(log: EventLog) -> None:
    partition = stores.open_partition(log)
    for number in range(10):
        partition.append(b"%d" % number, b"k")
    done = log.maintain(compact_all=True).partitions[0].compacted
    assert done is not None and (done.end_offset, done.records_before, done.records_after) == (10, 10, 1)
    assert list(partition.values()) == [b"9"]


def test_both_orders_of_the_two_policies_delete_and_compact(log: EventLog) -> None:
    for policy in ("delete,compact", "compact,delete", "delete, compact"):
        name = policy.replace(",", "-").replace(" ", "")
        name += str(len(policy))
        log.create_topic(name, config={"cleanup.policy": policy, "segment.bytes": 1024, "retention.ms": DAY_MS})
        partition = log.partition(name, 0)
        for number in range(20):
            partition.append(bytes(32), b"%d" % (number % 3), timestamp=now_ms() - 3 * DAY_MS)
        for number in range(40):
            partition.append(bytes(32), b"%d" % (number % 3))
        log.maintain()
        assert partition.start_offset >= 18
        assert len(list(partition.records())) < 20
    with pytest.raises(InvalidArgumentError, match="must be one of"):
        log.create_topic("wrong", config={"cleanup.policy": "delete,compress"})


def test_a_pass_that_comes_late_touches_no_topic_that_was_made_anew(
    log: EventLog, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill_evenly(value: bytes) -> None:
        for _ in range(300):
            stores.open_partition(log).append(value, b"k")

    fill_evenly(bytes(32))
    put_in_place, made_anew = Cleaner._put_in_place, []

    def make_anew(cleaner: Cleaner, *arguments: Any) -> bool:
        if not made_anew:
            log.delete_topic(stores.TOPIC)
            log.create_topic(stores.TOPIC, config={"segment.bytes": 4096})
            fill_evenly(bytes(31) + b"n")  # with segments of the same names
            made_anew.append(True)
        return put_in_place(cleaner, *arguments)

    monkeypatch.setattr(Cleaner, "_put_in_place", make_anew)
    for _ in range(2):
        assert log.maintain().failures == []
    assert made_anew and list(stores.open_partition(log).values()) == [bytes(31) + b"n"] * 300


def test_little_memory_takes_more_passes_and_gives_the_same(log: EventLog, store: Path) -> None:
    partition = stores.open_partition(log)
    fill(partition, 3000, 400)
    before = stores.everything(partition)
    settings = log.topic(stores.TOPIC).settings()
    done = compaction.compact(partition.log, settings, 0, memory_bytes=100 * 24)
    assert done is not None and done.end_offset == sealed_end(store)
    assert stores.everything(partition) == latest(before, sealed_end(store))


def test_what_is_not_worth_it_is_left_alone_unless_it_is_asked_for(log: EventLog, store: Path) -> None:
    partition = stores.open_partition(log)
    fill(partition, 1000, 900)
    assert log.maintain().partitions[0].compacted is not None
    fill(partition, 50, 900)
    fill(partition, 50, 900)
    assert log.maintain().partitions == []
    assert log.maintain(compact_all=True).partitions != []


def test_records_that_are_too_young_stay(log: EventLog, store: Path) -> None:
    log.alter_topic(stores.TOPIC, config={"min.compaction.lag.ms": DAY_MS})
    partition = stores.open_partition(log)
    fill(partition, 1000, 10)
    before = stores.everything(partition)
    assert log.maintain(compact_all=True).partitions == []
    assert stores.everything(partition) == before


def test_a_record_without_a_key_is_refused_and_one_that_is_there_is_kept(log: EventLog, store: Path) -> None:
    partition = stores.open_partition(log)
    for append in (lambda: partition.append(b"v"), lambda: partition.append_many([b"v", b"w"], keys=[b"k", None])):
        with pytest.raises(InvalidArgumentError, match="needs a key"):
            append()
    assert partition.end_offset == 0
    log.create_topic("mixed", config={"segment.bytes": 1024})
    mixed = log.partition("mixed", 0)
    for number in range(100):
        mixed.append(b"%d" % number, None if number % 10 == 0 else b"key")
    log.alter_topic("mixed", config={"cleanup.policy": "compact"})
    with pytest.raises(InvalidArgumentError, match="needs a key"):
        mixed.append(b"v")
    log.maintain(compact_all=True)
    sealed = int(sorted(mixed.directory.glob("*.log"))[-1].stem)
    kept = [record.offset for record in mixed.records() if record.offset < sealed and record.key is None]
    assert kept == list(range(0, sealed, 10))


def test_damage_is_reported_and_never_written_anew(log: EventLog, store: Path) -> None:
    partition = stores.open_partition(log)
    fill(partition, 1000, 10)
    damaged = stores.segments(store)[1]
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2] ^= 1
    damaged.write_bytes(content)
    files = {path.name: path.read_bytes() for path in damaged.parent.iterdir()}
    report = log.maintain()
    assert damaged.name in report.failures[0][1]
    assert {path.name: path.read_bytes() for path in damaged.parent.iterdir()} == files


@pytest.mark.parametrize("codec", [None, "gzip"])
@pytest.mark.parametrize("place", [0, 1, -1], ids=["first batch", "second batch", "last batch"])
@pytest.mark.parametrize("byte", [4, 6, 7])
def test_a_batch_whose_place_in_the_log_is_rotten_is_never_written_anew(
    log: EventLog, store: Path, codec: str | None, place: int, byte: int
) -> None:
    partition = stores.open_partition(log)
    fill(partition, 1000, 10, codec=codec)
    damaged = stores.segments(store)[1]
    content = bytearray(damaged.read_bytes())
    positions = [0]
    while (end := positions[-1] + 12 + int.from_bytes(content[positions[-1] + 8 : positions[-1] + 12], "big")) < len(content):
        positions.append(end)
    content[positions[place] + byte] ^= 0x40
    damaged.write_bytes(content)
    files = {path.name: path.read_bytes() for path in damaged.parent.iterdir()}
    report = log.maintain(compact_all=True)
    assert damaged.name in report.failures[0][1]
    assert {path.name: path.read_bytes() for path in damaged.parent.iterdir()} == files


@pytest.mark.parametrize("length", [512, 4096, 8192])
def test_zeros_in_a_sealed_segment_are_damage_however_many_they_are(log: EventLog, store: Path, length: int) -> None:
    partition = stores.open_partition(log)
    log.alter_topic(stores.TOPIC, config={"segment.bytes": 32768})
    fill(partition, 3000, 3000)
    log.maintain(compact_all=True)
    segment = stores.segments(store)[0]
    batches = [batch for batch in kafka_format.parse_log(segment) if batch.position > 0]
    batch = batches[len(batches) // 3]
    with segment.open("r+b") as file:
        file.seek(batch.position)
        file.write(bytes(length))
    assert batch.position + length < batches[-1].position, "there has to be something behind the zeros"
    for read in (partition.values, partition.records, lambda: partition.read(batches[len(batches) // 3 - 1].base_offset, 500)):
        with pytest.raises(CorruptLogError) as raised:
            list(read())
        assert (raised.value.path, raised.value.position) == (segment, batch.position)


def test_a_consumer_that_is_in_the_middle_reads_on_without_a_gap(log: EventLog, store: Path) -> None:
    partition = stores.open_partition(log)
    fill(partition, 4000, 3000)
    place = TopicPartition(stores.TOPIC, 0)
    with log.consumer() as consumer:
        consumer.assign([place])
        seen = consumer.poll(timeout=0, max_records=700)
        log.maintain()
        while records := consumer.poll(timeout=0, max_records=100):
            seen += records
    offsets = [record.offset for record in seen]
    assert offsets == sorted(set(offsets))
    assert set(record.offset for record in stores.everything(partition)) <= set(offsets)


def test_a_topic_that_was_compacted_stays_readable_when_it_is_compacted_no_more(store: Path) -> None:
    with eventlog.open(store) as log:
        fill(stores.open_partition(log), 1000, 10)
        log.maintain()
        log.alter_topic(stores.TOPIC, config={"cleanup.policy": None})
        expected = stores.everything(stores.open_partition(log))
        stores.open_partition(log).append(b"no key any more")
    simulate_reboot(stores.head_file(store))
    with eventlog.open(store) as log:
        assert stores.everything(stores.open_partition(log))[:-1] == expected
        assert log.verify()[0].problems == []
