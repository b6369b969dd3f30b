"""What the views need of every consumer group, taken without opening a partition."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

from eventlog.errors import GroupNotFoundError, TopicNotFoundError
from eventlog.groups.group import Group, GroupDescription
from eventlog.groups.registry import Groups
from eventlog.log import Log
from eventlog.records.record import TopicPartition
from eventlog.storage.mapped.foreign_heads import PartitionOffsets

OffsetsByTopic = Mapping[str, Sequence[PartitionOffsets]]


class GroupSummary(NamedTuple):
    """A group, its committed offsets, and the number of records after each; deleted partitions have no lag."""

    description: GroupDescription
    committed: Mapping[TopicPartition, int]
    lag: Mapping[TopicPartition, int]

    @property
    def total_lag(self) -> int | None:
        """The number of unacknowledged records in all partitions; None while it has begun none."""
        return sum(self.lag.values()) if self.lag else None


def read_all_offsets(log: Log) -> dict[str, list[PartitionOffsets]]:
    """Where the partitions of every topic start and end."""
    found = {}
    for topic in log.topics():
        with suppress(TopicNotFoundError):  # deleted meanwhile
            found[topic] = log.offsets(topic)
    return found


def summarize_groups(groups: Groups, offsets: OffsetsByTopic) -> Iterator[GroupSummary]:
    """All groups, sorted by name, with their lag in these topics."""
    for name in groups.store.catalog.groups.names():
        try:
            group = Group(groups, name)
            description, committed = group.describe(), group.committed()
        except GroupNotFoundError:
            continue  # deleted meanwhile
        yield GroupSummary(description, committed, _lag(description, offsets))


def _lag(description: GroupDescription, offsets: OffsetsByTopic) -> dict[TopicPartition, int]:
    return {key: lag for key, lag in description.lag.items() if lag is not None and key.topic in offsets}
