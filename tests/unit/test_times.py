"""Times as programs give them: milliseconds, or datetimes with a time zone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from eventlog import EventLog, InvalidArgumentError, InvalidTypeError, Partition
from eventlog.aio import open as open_async
from tests.support import stores
from tests.support.stores import TOPIC

NOON = datetime(2026, 11, 1, 12, tzinfo=timezone.utc)
NOON_MS = 1_793_534_400_000
TIMES = {
    "utc": NOON,
    "another_zone": NOON.astimezone(timezone(timedelta(hours=5, minutes=30))),
    "rounded_down": NOON + timedelta(microseconds=999),
    "milliseconds": NOON_MS,
}


@pytest.mark.parametrize("time", TIMES.values(), ids=TIMES.keys())
def test_a_record_has_the_time_of_a_datetime(partition: Partition, time: Any) -> None:
    partition.append(b"one", timestamp=time)
    partition.append_many([b"two", b"three", b"four"], timestamps=[5, time, NOON])
    partition.append_many([b"five"], timestamps=[time], compression="gzip")
    partition.append(b"six", b"key", [("a", b"b")], time, expected_end_offset=5)
    assert [record.timestamp for record in partition.records()] == [NOON_MS, 5, NOON_MS, NOON_MS, NOON_MS, NOON_MS]


@pytest.mark.parametrize("time", TIMES.values(), ids=TIMES.keys())
@pytest.mark.parametrize("options", [{}, {"linger_ms": 5}, {"name": "n"}, {"transactional_id": "t"}], ids=repr)
def test_a_producer_takes_a_datetime(log: EventLog, time: Any, options: dict[str, Any]) -> None:
    with log.producer(**options) as producer:
        if options.get("transactional_id"):
            producer.begin()
        receipts = [producer.send(TOPIC, b"%d" % number, partition=0, timestamp=time) for number in range(3)]
        if options.get("transactional_id"):
            producer.commit()
        producer.flush()
        assert [receipt.timestamp for receipt in receipts] == [NOON_MS] * 3
    assert [record.timestamp for record in stores.open_partition(log).read(0, 3)] == [NOON_MS] * 3


def test_a_numbered_record_takes_a_datetime(log: EventLog) -> None:
    with log.producer(name="outbox") as producer:
        assert producer.send_once(TOPIC, 0, 0, b"row", timestamp=NOON).timestamp == NOON_MS
        assert producer.send_once(TOPIC, 0, 0, b"row", timestamp=NOON).timestamp == NOON_MS


async def _with_tasks(store: Path) -> list[int]:
    async with open_async(store) as log:
        partition = log.partition(TOPIC, 0)
        await partition.append(b"one", timestamp=NOON)
        await partition.append_many([b"two"], timestamps=[NOON])
        async with log.producer() as producer:
            await producer.send(TOPIC, b"three", partition=0, timestamp=NOON)
        async with log.consumer(TOPIC) as consumer:
            await consumer.poll(timeout=0)
            await consumer.seek_to_time(NOON)
            return [record.timestamp for record in await consumer.poll(timeout=10)]


def test_tasks_take_a_datetime(store: Path) -> None:
    assert asyncio.run(_with_tasks(store)) == [NOON_MS] * 3


def test_records_are_found_by_a_datetime(log: EventLog, partition: Partition) -> None:
    partition.append_many([b"before", b"at", b"after"], timestamps=[NOON_MS - 1, NOON_MS, NOON_MS + 1])
    assert partition.offset_for_time(NOON) == 1
    assert partition.offset_for_time(NOON + timedelta(days=1)) is None
    assert [list(columns.offsets) for columns in partition.columns(since=NOON, until=NOON + timedelta(milliseconds=1))] == [[1]]
    with log.consumer(TOPIC) as consumer:
        consumer.poll(timeout=0)
        consumer.seek_to_time(NOON)
        assert consumer.poll(timeout=10)[0].value == b"at"


USES: dict[str, Callable[[EventLog, Partition, Any], object]] = {
    "append": lambda log, partition, time: partition.append(b"x", timestamp=time),
    "append_many": lambda log, partition, time: partition.append_many([b"x"], timestamps=[time]),
    "send": lambda log, partition, time: log.producer().send(TOPIC, b"x", timestamp=time),
    "a lingering send": lambda log, partition, time: log.producer(linger_ms=5).send(TOPIC, b"x", timestamp=time),
    "offset_for_time": lambda log, partition, time: partition.offset_for_time(time),
    "seek_to_time": lambda log, partition, time: _seek(log, time),
    "columns": lambda log, partition, time: partition.columns(since=time),
    "columns of a topic": lambda log, partition, time: log.columns(TOPIC, until=time),
}


def _seek(log: EventLog, time: Any) -> None:
    with log.consumer(TOPIC) as consumer:
        consumer.poll(timeout=0)
        consumer.seek_to_time(time)


@pytest.mark.parametrize("use", USES.values(), ids=USES.keys())
def test_a_datetime_without_a_zone_is_refused(log: EventLog, partition: Partition, use: Callable[..., object]) -> None:
    with pytest.raises(InvalidArgumentError, match=r"no time zone: use \.astimezone\(\)"):
        use(log, partition, NOON.replace(tzinfo=None))
    assert partition.end_offset == 0


@pytest.mark.parametrize("use", USES.values(), ids=USES.keys())
def test_what_a_clock_returns_in_seconds_is_no_time(log: EventLog, partition: Partition, use: Callable[..., object]) -> None:
    with pytest.raises(InvalidTypeError):
        use(log, partition, 1793534400.5)
    assert partition.end_offset == 0


@pytest.mark.parametrize("use", USES.values(), ids=USES.keys())
def test_a_datetime_before_1970_is_refused(log: EventLog, partition: Partition, use: Callable[..., object]) -> None:
    with pytest.raises(InvalidArgumentError):
        use(log, partition, datetime(1969, 12, 31, 23, tzinfo=timezone.utc))
    assert partition.end_offset == 0


def test_the_error_says_that_a_datetime_is_better(partition: Partition) -> None:
    with pytest.raises(InvalidTypeError, match=r"an int \(milliseconds since the epoch\), a datetime or None, not float"):
        partition.append(b"x", timestamp=1793534400.5)  # type: ignore[arg-type]
