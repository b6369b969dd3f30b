"""What the screens show, as plain values: a topic, a page of records, a search, a group. Each call reads the store once.

Memory is bounded by what is shown: records are read one after the other, and each is cut when it is read.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from eventlog.cli.screens.content import Content, detail, preview
from eventlog.errors import OffsetOutOfRangeError

if TYPE_CHECKING:
    from eventlog import EventLog, GroupMember, Partition, Progress, Record, TopicPartition

_SEARCH_STEP = 20_000  # offsets searched before the clock is read
_HEADERS_MAX = 50


class PartitionView(NamedTuple):
    """A partition: its offsets, and the segments and bytes on disk."""

    partition: int
    start_offset: int
    end_offset: int
    segments: int
    size_bytes: int


class TopicView(NamedTuple):
    """A topic with its partitions, the settings that were given, and the names of the groups that have lag in it, with that."""

    name: str
    partitions: tuple[PartitionView, ...]
    config: Mapping[str, object]
    groups: tuple[tuple[str, int | None], ...]


class GroupView(NamedTuple):
    """A group: its members, and how far it is in each partition."""

    name: str
    generation: int
    assignor: str
    members: tuple[GroupMember, ...]
    partitions: tuple[tuple[TopicPartition, Progress], ...]


class RecordView(NamedTuple):
    """A record as it is shown; `timestamp` is in milliseconds since the epoch. A key or value that is null is None."""

    offset: int
    timestamp: int
    key: Content | None
    value: Content | None
    headers: tuple[tuple[str, Content | None], ...] = ()
    headers_left_out: int = 0


class Page(NamedTuple):
    """Some records of a partition in order; `next_offset` is where the page after it begins."""

    start_offset: int
    end_offset: int
    records: tuple[RecordView, ...]
    next_offset: int


def read_topic(log: EventLog, name: str) -> TopicView:
    """A topic without opening its partitions. Raises `TopicNotFoundError`."""
    description, offsets, sizes = log.topic(name), log.offsets(name), log.sizes(name)
    partitions = tuple(
        PartitionView(number, offset.start_offset, offset.end_offset, size.segments, size.size_bytes)
        for number, (offset, size) in enumerate(zip(offsets, sizes, strict=False))
    )
    groups = []
    for group in log.describe_groups():
        lags = [lag for partition, lag in group.lag.items() if partition.topic == name]
        if lags:
            known = [lag for lag in lags if lag is not None]
            groups.append((group.name, sum(known) if known else None))
    return TopicView(name, partitions, description.config, tuple(groups))


def read_group(log: EventLog, name: str) -> GroupView:
    """A group in detail. Raises `GroupNotFoundError`."""
    group = log.group(name)
    description = group.describe()
    return GroupView(name, description.generation, description.assignor, description.members, tuple(group.progress().items()))


def read_page(log: EventLog, topic: str, partition: int, first: int, count: int) -> Page:
    """Up to `count` records from this offset on, or from the first that there is. Raises `TopicNotFoundError`,
    `PartitionNotFoundError`, `CorruptLogError`."""
    opened = log.partition(topic, partition)
    while True:
        start, end = opened.start_offset, opened.end_offset
        first = max(start, min(first, end))
        try:
            records = tuple(map(_preview, islice(opened.records(first, end), count)))
        except OffsetOutOfRangeError:
            if opened.start_offset > start:
                continue  # records were deleted meanwhile
            raise
        return Page(start, end, records, records[-1].offset + 1 if len(records) == count else end)


def read_page_before(log: EventLog, topic: str, partition: int, before: int, count: int) -> Page:
    """The last `count` records before this offset; fewer at the start. Raises what `read_page` raises."""
    opened = log.partition(topic, partition)
    before = max(opened.start_offset, min(before, opened.end_offset))
    distance = count
    while True:  # compaction and markers of transactions leave gaps: go back until there are enough
        start = opened.start_offset
        first = max(start, before - distance)
        try:
            records = deque(map(_preview, opened.records(first, max(first, before))), maxlen=count)
        except OffsetOutOfRangeError:
            if opened.start_offset > start:
                continue  # records were deleted meanwhile
            raise
        if len(records) == count or first == start:
            return Page(start, opened.end_offset, tuple(records), max(first, before))
        distance *= 4


def read_record(log: EventLog, topic: str, partition: int, offset: int) -> RecordView | None:
    """One record in detail; None if it is not there. Raises what `read_page` raises."""
    opened = log.partition(topic, partition)
    if not opened.start_offset <= offset < opened.end_offset:
        return None
    found = next(opened.records(offset, offset + 1), None)
    return None if found is None else _detail(found)


def search_page(
    log: EventLog,
    topic: str,
    partition: int,
    text: str,
    first: int,
    count: int,
    *,
    seconds_max: float,
) -> Page:
    """Up to `count` records from this offset on that hold a text in key, value or headers, whatever the case of ASCII letters.

    It ends early after about `seconds_max`: it goes on at `next_offset`, and is over if that is the end offset. Raises what
    `read_page` raises."""
    opened = log.partition(topic, partition)
    end = opened.end_offset
    first = max(opened.start_offset, min(first, end))
    deadline = time.monotonic() + seconds_max
    found: list[RecordView] = []
    while first < end and len(found) < count:
        stop = min(end, first + _SEARCH_STEP)
        for record in islice(_matches(opened, text, first, stop), count - len(found)):
            found.append(_preview(record))
        first = found[-1].offset + 1 if len(found) == count else stop
        if time.monotonic() > deadline:
            break
    return Page(opened.start_offset, end, tuple(found), first)


def _matches(partition: Partition, text: str, first: int, stop: int) -> Iterator[Record]:
    pattern = text.encode("utf-8", "surrogateescape")
    fields = ("key", "value", "headers")
    return partition.search(pattern, max(first, partition.start_offset), stop, fields=fields, ignore_case=True)


def _preview(record: Record) -> RecordView:
    return RecordView(record.offset, record.timestamp, preview(record.key), preview(record.value))


def _detail(record: Record) -> RecordView:
    headers = tuple((_name(name), preview(value)) for name, value in record.headers[:_HEADERS_MAX])
    left_out = len(record.headers) - len(headers)
    return RecordView(record.offset, record.timestamp, detail(record.key), detail(record.value), headers, left_out)


def _name(name: str) -> str:
    shown = preview(name.encode("utf-8", "surrogateescape"))
    assert shown is not None
    return shown.text + ("…" if shown.is_cut else "")
