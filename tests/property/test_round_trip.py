"""Any record that can be appended comes back as it was, bit for bit, by every way to read and to a second reader."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import eventlog
from eventlog import EventLog, Partition
from eventlog.records.compression import CODEC_NUMBERS
from tests.property.strategies import any_events
from tests.support import kafka_format, stores
from tests.support.model import Event

_SETTINGS = settings(
    max_examples=200, deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EventLog]:
    store = tmp_path_factory.mktemp("round-trip") / "store"
    stores.create(store, segment_bytes=2**24, max_message_bytes=2**23)
    with eventlog.open(store, fsync="never") as log:
        yield log


def _fields(records: list[eventlog.Record]) -> list[Event]:
    return [Event(record.value, record.key, record.headers, record.timestamp) for record in records]


def _check(partition: Partition, first: int, events: list[Event]) -> None:
    read = partition.read(first, len(events) + 1)
    pairs = zip(events, read, strict=True)
    times = [found.timestamp if event.timestamp is None else event.timestamp for event, found in pairs]
    expected = [event._replace(timestamp=time) for event, time in zip(events, times, strict=True)]
    assert _fields(read) == expected
    assert [record.offset for record in read] == list(range(first, first + len(events)))
    assert list(partition.records(first)) == read
    assert list(partition.values(first)) == [event.value for event in events]
    for record in read:
        assert partition.read(record.offset, 1) == [record]


@_SETTINGS
@given(events=st.lists(any_events, min_size=1, max_size=6), compression=st.none() | st.sampled_from(sorted(CODEC_NUMBERS)))
def test_records_that_are_appended_together_come_back(log: EventLog, events: list[Event], compression: str | None) -> None:
    partition = stores.open_partition(log)
    first = partition.append_many(
        [event.value for event in events],
        keys=[event.key for event in events],
        headers=[event.headers for event in events],
        timestamps=[event.timestamp for event in events],
        compression=compression,
    ).start
    _check(partition, first, events)


@_SETTINGS
@given(event=any_events)
def test_a_record_that_is_appended_alone_comes_back(log: EventLog, event: Event) -> None:
    partition = stores.open_partition(log)
    first = partition.append(event.value, event.key, event.headers or None, event.timestamp)
    _check(partition, first, [event])


@_SETTINGS
@given(event=any_events)
def test_one_record_is_encoded_the_same_alone_and_in_a_list(tmp_path_factory: pytest.TempPathFactory, event: Event) -> None:
    """Both ways to append have an encoder of their own; a reader cannot tell them apart."""
    event = event._replace(timestamp=event.timestamp or 0, headers=())
    contents: list[bytes] = []
    for way in ("alone", "in a list"):
        store: Path = tmp_path_factory.mktemp("encoders") / "store"
        with eventlog.open(store, fsync="never") as log:
            log.create_topic(stores.TOPIC)
            partition = stores.open_partition(log)
            if way == "alone":
                partition.append(event.value, event.key, None, event.timestamp)
            else:
                partition.append_many([event.value], keys=[event.key], timestamps=[event.timestamp])
        contents.append(stores.segments(store)[0].read_bytes())
    assert contents[0] == contents[1]
    [batch] = kafka_format.parse_batches(contents[0])
    assert batch.records == [kafka_format.ParsedRecord(0, event.timestamp or 0, event.key, event.value, ())]
