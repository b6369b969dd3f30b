"""Where a consumer stands when records are gone, when none are there, and when a partition cannot be read: what it commits
then, and how the other partitions go on."""

from __future__ import annotations

import pickle
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import eventlog
from eventlog import Consumer, EventLog, EventLogError, TopicPartition
from tests.support import stores
from tests.support.kafka_format import crc32c

TOPIC = "jobs"
GROUP = "workers"
COUNT = 20


def place(number: int = 0, topic: str = TOPIC) -> TopicPartition:
    return TopicPartition(topic, number)


@pytest.fixture
def log(tmp_path: Path) -> Iterator[EventLog]:
    with eventlog.open(tmp_path / "store", fsync="never") as opened:
        opened.create_topic(TOPIC, partitions=3)
        for number in range(3):
            for sequence in range(COUNT):
                opened.partition(TOPIC, number).append(b"record %02d" % sequence)
        yield opened


# --- records that are gone -------------------------------------------------------------------------------------


@pytest.mark.parametrize("commits", [True, False])
def test_a_group_that_goes_on_at_the_latest_record_goes_on_there_for_its_next_member_too(log: EventLog, commits: bool) -> None:
    log.create_group(GROUP).reset({place(number): 5 for number in range(3)})
    for number in range(3):
        log.partition(TOPIC, number).delete_records(10)
    with log.consumer(TOPIC, group=GROUP, auto_offset_reset="latest") as consumer:
        assert consumer.poll(timeout=0) == []
        if commits:
            consumer.commit()
    assert set(log.group(GROUP).committed().values()) == {COUNT}
    log.partition(TOPIC, 1).append(b"new")
    with log.consumer(TOPIC, group=GROUP, auto_offset_reset="latest") as consumer:
        assert [record.value for record in consumer.poll()] == [b"new"]


def test_a_commit_in_a_loop_commits_what_a_seek_went_past_in_another_partition(log: EventLog) -> None:
    with log.consumer(TOPIC, group=GROUP) as consumer:
        for record in consumer:
            if record.offset == 3:
                other = place((record.partition + 1) % 3)
                consumer.seek(other, 7)
            consumer.commit()
            if record.offset == 3:
                break
        assert consumer.committed(other) == 7


def test_a_commit_is_of_the_position_also_where_records_before_it_are_gone(log: EventLog) -> None:
    log.create_group(GROUP).reset({place(): 5})
    partition = log.partition(TOPIC, 0)
    with log.consumer(group=GROUP) as consumer:
        consumer.assign([place()])
        partition.delete_records(COUNT)
        assert consumer.poll(timeout=0) == []
        consumer.commit()
        assert log.group(GROUP).committed() == {place(): COUNT}


# --- nothing where a record could be ---------------------------------------------------------------------------


def marked(batch: bytes, base_offset: int) -> bytes:
    """A batch of one record as a marker of a transaction."""
    (attributes,) = struct.unpack_from(">h", batch, 21)
    covered = struct.pack(">h", attributes | 0x30) + batch[23:]
    return struct.pack(">q", base_offset) + batch[8:17] + struct.pack(">I", crc32c(covered)) + covered


@pytest.fixture
def with_marker(tmp_path: Path) -> Iterator[EventLog]:
    """A broker's partition: records at the offsets 0 and 1, and the marker of a transaction at 2."""
    store = tmp_path / "kafka"
    with eventlog.open(store, fsync="never") as log:
        log.create_topic("source")
        log.partition("source", 0).append(b"one")
        source = log.partition("source", 0).directory
    batch = (source / f"{0:020}.log").read_bytes()
    directory = stores.partition_directory(store)
    directory.mkdir()
    records = b"".join(struct.pack(">q", offset) + batch[8:] for offset in range(2))
    (directory / f"{0:020}.log").write_bytes(records + marked(batch, 2))
    with eventlog.open(store, fsync="never") as log:
        assert stores.open_partition(log).end_offset == 3
        yield log


def lag(log: EventLog) -> int | None:
    return log.group(GROUP).lag()[place(topic=stores.TOPIC)]


def test_a_commit_behind_the_last_record_goes_over_the_marker_behind_it(with_marker: EventLog) -> None:
    with with_marker.consumer(stores.TOPIC, group=GROUP) as consumer:
        assert [record.offset for record in consumer.poll()] == [0, 1]
        assert consumer.position(place(topic=stores.TOPIC)) == 3
        consumer.commit()
        assert lag(with_marker) == 0
        assert consumer.poll(timeout=0) == []


def test_a_commit_after_each_record_goes_over_the_marker_behind_the_last(with_marker: EventLog) -> None:
    with with_marker.consumer(stores.TOPIC, group=GROUP) as consumer:
        for record in consumer:
            consumer.commit()
            if record.offset == 1:
                break
            assert lag(with_marker) == 2
        assert lag(with_marker) == 0


def test_a_group_that_stands_before_a_marker_goes_over_it(with_marker: EventLog) -> None:
    with with_marker.consumer(group=GROUP) as consumer:
        consumer.assign([place(topic=stores.TOPIC)])
        consumer.commit({place(topic=stores.TOPIC): 2})
    with with_marker.consumer(stores.TOPIC, group=GROUP, auto_commit=True) as consumer:
        assert consumer.poll(timeout=0) == []
    assert lag(with_marker) == 0


def test_a_poll_of_a_part_leaves_the_marker_for_later(with_marker: EventLog) -> None:
    with with_marker.consumer(stores.TOPIC, group=GROUP) as consumer:
        for offset in range(2):
            assert [record.offset for record in consumer.poll(max_records=1)] == [offset]
            consumer.commit()
            assert consumer.committed(place(topic=stores.TOPIC)) == offset + 1
        assert consumer.poll(timeout=0) == []
        consumer.commit()
        assert lag(with_marker) == 0


# --- a partition that cannot be read ---------------------------------------------------------------------------


def damage(log: EventLog) -> None:
    [segment] = log.partition(TOPIC, 1).directory.glob("*.log")
    segment.write_bytes(segment.read_bytes().replace(b"record 15", b"recorD 15"))


def delete_the_first(log: EventLog) -> None:
    log.partition(TOPIC, 1).delete_records(15)


def poll(consumer: Consumer) -> list[TopicPartition]:
    return [TopicPartition(record.topic, record.partition) for record in consumer.poll(timeout=0, max_records=7)]


def iterate(consumer: Consumer) -> list[TopicPartition]:
    record = next(iter(consumer))
    return [TopicPartition(record.topic, record.partition)]


@pytest.mark.parametrize("read", [poll, iterate])
@pytest.mark.parametrize(("spoil", "error"), [
    (damage, eventlog.CorruptLogError), (delete_the_first, eventlog.OffsetOutOfRangeError),
])  # fmt: skip
def test_a_bad_partition_keeps_no_record_of_the_others_away_and_is_named(
    log: EventLog,
    spoil: Callable[[EventLog], None],
    error: type[EventLogError],
    read: Callable[[Consumer], list[TopicPartition]],
) -> None:
    with log.consumer(group=GROUP, auto_offset_reset="error") as consumer:
        consumer.assign([place(number) for number in range(3)])
        for number in range(3):
            consumer.seek(place(number), 0)
        spoil(log)
        found: list[TopicPartition] = []
        raised = 0
        while raised < 3 or len(set(found)) < 2 or min(found.count(place(0)), found.count(place(2))) < COUNT:
            try:
                found += read(consumer)
            except error as failure:
                raised += 1
                assert failure.topic_partition == place(1)
                assert pickle.loads(pickle.dumps(failure)).topic_partition == place(1)
            assert raised < 100
        consumer.pause(place(1))
        assert consumer.poll(timeout=0) == []
        log.partition(TOPIC, 2).append(b"later")
        assert read(consumer) == [place(2)]


def test_a_bad_partition_is_told_of_though_the_others_never_end(log: EventLog) -> None:
    damage(log)
    with log.consumer(TOPIC) as consumer:
        for _ in range(30):
            for number in (0, 2):
                log.partition(TOPIC, number).append_many([b"x"] * 7)
            try:
                consumer.poll(max_records=7)
            except eventlog.CorruptLogError as error:
                assert error.topic_partition == place(1)
                return
    raise AssertionError("nobody was told")


def test_where_nothing_was_committed_the_error_names_the_partition(log: EventLog) -> None:
    with log.consumer(TOPIC, group=GROUP, auto_offset_reset="error") as consumer:
        with pytest.raises(eventlog.NoCommittedOffsetError) as raised:
            consumer.poll()
        consumer.pause(raised.value.topic_partition)
        others = {place(number) for number in range(3)} - {raised.value.topic_partition}
        for other in others:
            consumer.seek(other, 0)
        assert len(consumer.poll()) == 2 * COUNT


def test_a_deleted_topic_keeps_no_record_of_the_other_assigned_ones_away(log: EventLog) -> None:
    log.create_topic("others")
    log.partition("others", 0).append_many([b"x"] * 3)
    with log.consumer() as consumer:
        consumer.assign([place(), place(topic="others")])
        log.delete_topic(TOPIC)
        found = 0
        for _ in range(8):
            try:
                found += len(consumer.poll(timeout=0, max_records=1))
            except eventlog.TopicNotFoundError as error:
                assert error.topic_partition == place() and "was deleted" in str(error)
        assert found == 3
        with pytest.raises(eventlog.TopicNotFoundError):
            consumer.poll()
        consumer.pause(place())
        assert consumer.poll(timeout=0) == []


@pytest.mark.parametrize("group", [None, GROUP])
def test_a_partition_that_cannot_be_opened_keeps_no_record_of_the_others_away(tmp_path: Path, group: str | None) -> None:
    store = tmp_path / "other"
    stores.create(store, partitions=2)
    with eventlog.open(store, fsync="never") as log:
        log.partition(stores.TOPIC, 1).append_many([b"x"] * 5)
        stores.head_file(store, 0).mkdir()
        with log.consumer(stores.TOPIC, group=group) as consumer:
            found = 0
            raised: list[object] = []
            while not raised or found < 5:
                try:
                    found += len(consumer.poll(max_records=2))
                except EventLogError as error:
                    raised.append(error.topic_partition)
            assert set(raised) == {place(topic=stores.TOPIC)}
            stores.head_file(store, 0).rmdir()
            log.partition(stores.TOPIC, 0).append(b"y")
            assert [record.value for record in consumer.poll()] == [b"y"]


# --- partitions that come later --------------------------------------------------------------------------------


@pytest.mark.parametrize("reset", ["earliest", "latest"])
def test_without_a_group_partitions_that_are_added_are_read_from_their_first_record_on(log: EventLog, reset: str) -> None:
    with log.consumer([TOPIC, "others"], auto_offset_reset=reset) as consumer:
        assert len(consumer.poll(timeout=0)) == (3 * COUNT if reset == "earliest" else 0)
        log.alter_topic(TOPIC, partitions=4)
        log.partition(TOPIC, 3).append(b"added")
        log.create_topic("others")
        log.partition("others", 0).append(b"created")
        assert sorted(record.value or b"" for record in consumer.poll()) == [b"added", b"created"]
        log.delete_topic("others")
        log.create_topic("others")
        log.partition("others", 0).append(b"made anew")
        assert [record.value for record in consumer.poll()] == [b"made anew"]
