"""One topic in detail: settings, offsets, sizes, times, rates, and which groups lag."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from eventlog.catalog.topics import TopicDescription
from eventlog.clock import now_ms
from eventlog.errors import CorruptLogError, OffsetOutOfRangeError
from eventlog.groups.registry import Groups
from eventlog.log import Log
from eventlog.options import Setting
from eventlog.storage.mapped.foreign_heads import PartitionOffsets, PartitionSize
from eventlog.storage.partition.partition import Partition
from eventlog.views.groups import summarize_groups

_RATE_SECONDS = 60


class PartitionOverview(NamedTuple):
    """A partition at one moment.

    `oldest_ms` and `newest_ms` are the timestamps of its first and its last record (ms since the epoch), `records_per_second`
    is the rate of the last minute by the records' timestamps; each is None if there is no record, or it cannot be read."""

    partition: int
    offsets: PartitionOffsets
    size: PartitionSize
    oldest_ms: int | None
    newest_ms: int | None
    records_per_second: float | None

    @property
    def records(self) -> int:
        """The number of offsets between start and end."""
        return self.offsets.end_offset - self.offsets.start_offset


class TopicGroup(NamedTuple):
    """A consumer group of a topic: how many live members subscribe to it, and the number of records after the committed
    offsets; `lag` is None while nothing was committed."""

    name: str
    members: int
    lag: int | None


class TopicOverview(NamedTuple):
    """A topic at one moment. `settings` are those in effect, including defaults; `description.config` has those that were
    given."""

    description: TopicDescription
    settings: Mapping[str, Setting]
    partitions: tuple[PartitionOverview, ...]
    groups: tuple[TopicGroup, ...]

    @property
    def records(self) -> int:
        """The number of offsets between start and end, in all partitions."""
        return sum(partition.records for partition in self.partitions)

    @property
    def segments(self) -> int:
        """How many segments there are in all partitions."""
        return sum(partition.size.segments for partition in self.partitions)

    @property
    def size_bytes(self) -> int:
        """How many bytes of batches there are in all partitions."""
        return sum(partition.size.size_bytes for partition in self.partitions)

    @property
    def oldest_ms(self) -> int | None:
        """The earliest `oldest_ms` of its partitions."""
        return min((each.oldest_ms for each in self.partitions if each.oldest_ms is not None), default=None)

    @property
    def newest_ms(self) -> int | None:
        """The latest `newest_ms` of its partitions."""
        return max((each.newest_ms for each in self.partitions if each.newest_ms is not None), default=None)

    @property
    def records_per_second(self) -> float | None:
        """The rates of its partitions together; None if none of them has one."""
        rates = [each.records_per_second for each in self.partitions if each.records_per_second is not None]
        return sum(rates) if rates else None


def describe_topic(log: Log, groups: Groups, name: str) -> TopicOverview:
    """A topic as it is now. Raises `TopicNotFoundError`."""
    description = log.topic(name)
    measured = list(zip(log.offsets(name), log.sizes(name), strict=True))
    since_ms = now_ms() - _RATE_SECONDS * 1000
    partitions = tuple(
        _describe_partition(log, name, number, offsets, size, since_ms) for number, (offsets, size) in enumerate(measured)
    )
    return TopicOverview(
        description,
        description.settings().effective(),
        partitions,
        tuple(_groups_of(groups, name, [offsets for offsets, _ in measured])),
    )


def _describe_partition(
    log: Log, topic: str, number: int, offsets: PartitionOffsets, size: PartitionSize, since_ms: int
) -> PartitionOverview:
    oldest_ms = newest_ms = rate = None
    if offsets.start_offset < offsets.end_offset:
        partition = log.partition(topic, number)
        oldest_ms = _timestamp_at(partition, offsets.start_offset)
        newest_ms = _timestamp_at(partition, _last_offset(partition, offsets))
        rate = _rate(partition, offsets.end_offset, since_ms)
    return PartitionOverview(number, offsets, size, oldest_ms, newest_ms, rate)


def _last_offset(partition: Partition, offsets: PartitionOffsets) -> int:
    """The offset of the last record; that before the end where there is none, or it cannot be told."""
    try:
        return max(offsets.start_offset, partition.log.records_end(offsets.start_offset, offsets.end_offset) - 1)
    except (CorruptLogError, OffsetOutOfRangeError):
        return offsets.end_offset - 1


def _timestamp_at(partition: Partition, offset: int) -> int | None:
    try:
        records = partition.read(offset, max_records=1)
    except (CorruptLogError, OffsetOutOfRangeError):  # damaged, or deleted meanwhile
        return None
    return records[0].timestamp if records else None


def _rate(partition: Partition, end_offset: int, since_ms: int) -> float | None:
    try:
        first = partition.offset_for_time(since_ms)
    except (CorruptLogError, OffsetOutOfRangeError):
        return None
    return 0.0 if first is None else max(0, end_offset - first) / _RATE_SECONDS


def _groups_of(groups: Groups, topic: str, offsets: list[PartitionOffsets]) -> list[TopicGroup]:
    """The groups that have committed in the topic, or have live members that subscribe to it."""
    found = []
    for group in summarize_groups(groups, {topic: offsets}):
        members = sum(topic in member.topics for member in group.description.members)
        if members or group.lag:
            found.append(TopicGroup(group.description.name, members, group.total_lag))
    return found
