"""delete_records: the beginning of a partition goes, for everybody, and stays away."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

import eventlog
from eventlog import EventLog, OffsetOutOfRangeError, Partition, TopicPartition
from eventlog.storage.partition import deletion
from tests.support import stores
from tests.support.heads import simulate_reboot

LAST = 1000

@pytest.fixture
def segmented(store: Path) -> Path:
    """A store whose partition has segments of ten records each, and one record in the last."""
    with eventlog.open(store) as log:
        log.alter_topic(stores.TOPIC, config={"segment.bytes": 1024})
        partition = stores.open_partition(log)
        for number in range(LAST + 1):
            partition.append(b"%04d" % number + bytes(28), timestamp=number)
    assert len(stores.segments(store)) == LAST // 10 + 1
    return store


@pytest.fixture
def partition(segmented: Path, log: EventLog) -> Partition:
    return stores.open_partition(log)


def numbers(partition: Partition) -> list[int]:
    return [int((value or b"")[:4]) for value in partition.values()]


def test_the_partition_begins_at_the_offset_and_whole_segments_are_gone(segmented: Path, partition: Partition) -> None:
    assert partition.delete_records(35) == 35
    assert (partition.start_offset, partition.end_offset) == (35, LAST + 1)
    assert numbers(partition) == list(range(35, LAST + 1))
    assert stores.segments(segmented)[0].name == "00000000000000000030.log"
    assert len(os.listdir(stores.partition_directory(segmented))) == 3 * (LAST // 10 - 2) + 2
    with pytest.raises(OffsetOutOfRangeError, match="starts at 35"):
        partition.read(34)


def test_it_holds_after_a_reopening_and_after_a_reboot(segmented: Path) -> None:
    with eventlog.open(segmented) as log:
        stores.open_partition(log).delete_records(35)
    with eventlog.open(segmented) as log:
        assert stores.open_partition(log).start_offset == 35
    simulate_reboot(stores.head_file(segmented))
    with eventlog.open(segmented) as log:
        assert stores.open_partition(log).start_offset == 35
        assert log.offsets(stores.TOPIC)[0].start_offset == 35


def test_a_smaller_offset_changes_nothing_and_a_wrong_one_is_refused(partition: Partition) -> None:
    partition.delete_records(35)
    with pytest.raises(OffsetOutOfRangeError):
        partition.delete_records(34)
    with pytest.raises(OffsetOutOfRangeError):
        partition.delete_records(LAST + 2)
    assert numbers(partition) == list(range(35, LAST + 1))


def test_all_records_can_be_deleted_and_their_bytes_with_them(segmented: Path, partition: Partition) -> None:
    assert partition.delete_records(LAST + 1) == LAST + 1
    assert [path.name for path in stores.segments(segmented)] == ["00000000000000001001.log"]
    assert partition.read(LAST + 1) == []
    assert partition.append(b"1001") == LAST + 1
    assert list(partition.values()) == [b"1001"]


def test_a_reader_on_its_way_gets_an_error_and_no_gap(partition: Partition) -> None:
    values = partition.values()
    first = [next(values) for _ in range(5)]
    partition.delete_records(970)
    seen = [int((value or b"")[:4]) for value in first]
    with pytest.raises(OffsetOutOfRangeError, match="starts at 970"):
        for value in values:
            seen.append(int((value or b"")[:4]))
    assert seen == list(range(len(seen)))


def test_a_consumer_whose_records_were_deleted_goes_by_its_reset(partition: Partition, log: EventLog) -> None:
    place = TopicPartition(stores.TOPIC, 0)
    consumers = {reset: log.consumer(auto_offset_reset=reset) for reset in ("earliest", "latest", "error")}
    for consumer in consumers.values():
        consumer.assign([place])
        consumer.seek(place, 0)
        assert [record.offset for record in consumer.poll(timeout=0, max_records=5)] == list(range(5))
    partition.delete_records(970)
    assert read_on(consumers["earliest"]) == list(range(970, LAST + 1))
    assert read_on(consumers["latest"]) == []
    assert consumers["latest"].position(place) == LAST + 1
    with pytest.raises(OffsetOutOfRangeError, match="starts at 970"):
        read_on(consumers["error"])


def read_on(consumer: eventlog.Consumer) -> list[int]:
    numbers_read: list[int] = []
    while records := consumer.poll(timeout=0):
        numbers_read += [record.offset for record in records]
    return numbers_read


def test_a_leftover_segment_before_the_start_is_never_read_and_goes_with_the_next_deletion(segmented: Path) -> None:
    kept = {path.name: path.read_bytes() for path in stores.partition_directory(segmented).glob("00000000000000000000.*")}
    with eventlog.open(segmented) as log:
        stores.open_partition(log).delete_records(35)
    for name, content in kept.items():  # the unlink of the first segment did not reach the disk, that of the others did
        (stores.partition_directory(segmented) / name).write_bytes(content)
    simulate_reboot(stores.head_file(segmented))
    with eventlog.open(segmented) as log:
        partition = stores.open_partition(log)
        assert numbers(partition) == list(range(35, LAST + 1))
        assert partition.offset_for_time(0) == 35
        assert log.verify()[0].problems == []
        partition.delete_records(36)
        assert stores.segments(segmented)[0].name == "00000000000000000030.log"


@pytest.mark.parametrize("deleted_before", [0, 5], ids=["the first time", "again"])
def test_segments_that_were_deleted_on_a_full_disk_are_missed_by_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, deleted_before: int
) -> None:
    """Then the new start cannot be stored in a new file, and files go one by one to make room."""

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    store = tmp_path / "store"
    stores.create(store, segment_bytes=1024)
    with eventlog.open(store) as log:
        partition = stores.open_partition(log)
        for _ in range(40):
            partition.append(bytes(150))
        if deleted_before:
            partition.delete_records(deleted_before)
        monkeypatch.setattr(deletion, "write_checkpoint", fail)
        start = int(stores.segments(store)[4].stem)
        partition.delete_records(start)
    stores.head_file(store).unlink()
    with eventlog.open(store) as log:
        partition = stores.open_partition(log)
        assert (partition.start_offset, partition.end_offset) == (start, 40)
        assert len(list(partition.values())) == 40 - start and not log.verify()[0].problems
