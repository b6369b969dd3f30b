"""Timestamps as producers give them or as the log gives them, and finding offsets by time."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

import eventlog
from eventlog import InvalidArgumentError, InvalidTypeError, Partition
from tests.support import stores


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def test_a_record_without_a_timestamp_gets_the_time_of_the_append(partition: Partition) -> None:
    before = _now_ms()
    partition.append(b"a")
    partition.append(b"b", b"k", [("h", b"")])
    partition.append_many([b"c", b"d"], timestamps=[None, 5])
    after = _now_ms()
    timestamps = [record.timestamp for record in partition.read(0)]
    assert timestamps[3] == 5
    assert all(before <= timestamp <= after for timestamp in timestamps[:3])


def test_given_timestamps_are_kept_in_any_order(partition: Partition) -> None:
    timestamps = [0, 2**62, 5, 1_700_000_000_000, 1, 2**63 - 1, 0]
    for timestamp in timestamps:
        partition.append(b"single", timestamp=timestamp)
    partition.append_many([b"group"] * len(timestamps), timestamps=timestamps)
    assert [record.timestamp for record in partition.read(0)] == timestamps * 2


def test_log_append_time_overrides_the_producers_timestamp(tmp_path: Path) -> None:
    stores.create(tmp_path / "store", message_timestamp_type="LogAppendTime")
    with eventlog.open(tmp_path / "store") as log:
        partition = stores.open_partition(log)
        before = _now_ms()
        partition.append(b"a", timestamp=5)
        partition.append_many([b"b", b"c"], timestamps=[7, 2**62])
        after = _now_ms()
        assert all(before <= record.timestamp <= after for record in partition.read(0))
        assert partition.offset_for_time(before) == 0
        assert partition.offset_for_time(after + 1) is None


@pytest.mark.parametrize("timestamp", [-1, -(2**63), 2**63, 2**70])
def test_a_timestamp_outside_63_bits_is_refused(partition: Partition, timestamp: int) -> None:
    with pytest.raises(InvalidArgumentError, match="timestamp"):
        partition.append(b"v", timestamp=timestamp)
    with pytest.raises(InvalidArgumentError, match="timestamp 1"):
        partition.append_many([b"v", b"w"], timestamps=[1, timestamp])
    assert partition.end_offset == 0


def test_offset_for_time_is_the_first_offset_at_or_after(partition: Partition) -> None:
    partition.append_many([b"a", b"b", b"c", b"d"], timestamps=[10, 20, 20, 30])
    expected = {0: 0, 9: 0, 10: 0, 11: 1, 20: 1, 21: 3, 30: 3, 31: None, 2**62: None}
    assert {timestamp: partition.offset_for_time(timestamp) for timestamp in expected} == expected


def test_offset_for_time_in_an_empty_partition_is_none(partition: Partition) -> None:
    assert partition.offset_for_time(0) is None


@pytest.mark.parametrize("order", ["rising", "random"])
def test_offset_for_time_is_right_across_segments_and_reopening(tmp_path: Path, order: str) -> None:
    choices = random.Random(7)
    timestamps = [1000 + number // 3 for number in range(1500)]
    if order == "random":
        choices.shuffle(timestamps)
    stores.create(tmp_path / "store", segment_bytes=8192, index_interval_bytes=200)
    for _ in range(2):
        with eventlog.open(tmp_path / "store") as log:
            partition = stores.open_partition(log)
            if partition.end_offset == 0:
                for start in range(0, 1500, 5):
                    partition.append_many([b"v" * 20] * 5, timestamps=timestamps[start : start + 5])
            assert len(stores.segments(tmp_path / "store")) > 3
            for timestamp in range(995, 1505, 3):
                expected = next((number for number, at in enumerate(timestamps) if at >= timestamp), None)
                assert partition.offset_for_time(timestamp) == expected, f"timestamp {timestamp}"


def test_offset_for_time_is_right_with_time_indexes_that_lost_their_last_entries(tmp_path: Path) -> None:
    store = tmp_path / "store"
    stores.create(store, segment_bytes=8192, index_interval_bytes=512)
    with eventlog.open(store) as log:
        partition = stores.open_partition(log)
        for number in range(300):
            partition.append(b"v" * 100, timestamp=1000 + number)
    for segment in stores.segments(store):
        time_index = segment.with_suffix(".timeindex")
        time_index.write_bytes(time_index.read_bytes()[:-12])
    with eventlog.open(store) as log:
        partition = stores.open_partition(log)
        assert [partition.offset_for_time(1000 + number) for number in range(300)] == list(range(300))


def test_offset_for_time_refuses_what_is_no_timestamp(partition: Partition) -> None:
    with pytest.raises(InvalidTypeError):
        partition.offset_for_time("2024-01-01")  # type: ignore[arg-type]
    with pytest.raises(InvalidArgumentError):
        partition.offset_for_time(-1)


def segments_until(log: eventlog.EventLog, hours: int) -> list[int]:
    """How many segments each partition has after one append an hour."""
    partitions = [log.partition(stores.TOPIC, number) for number in range(8)]
    for hour in range(hours):
        for partition in partitions:
            partition.append(b"x", timestamp=hour * 3_600_000)
    return [len(stores.segments(log.path, number)) for number in range(8)]


def test_jitter_spreads_the_rolls_of_the_partitions_below_the_age_that_a_segment_may_have(tmp_path: Path) -> None:
    day_ms = 24 * 3_600_000
    for jitter_ms, name in ((0, "together"), (day_ms, "spread"), (2**63 - 1, "any")):
        stores.create(tmp_path / name, partitions=8, segment_ms=day_ms, segment_jitter_ms=jitter_ms)
        with eventlog.open(tmp_path / name) as log:
            counts = segments_until(log, 100)
        assert min(counts) >= 4
        assert (len(set(counts)) == 1) == (jitter_ms == 0), f"{jitter_ms}: {counts}"
