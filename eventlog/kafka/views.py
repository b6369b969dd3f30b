"""What the command line shows of a cluster: offsets, groups with their members, and how fast both move."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from eventlog.clock import now_ms
from eventlog.errors import GroupNotFoundError, InvalidTypeError, TopicNotFoundError
from eventlog.groups.group import GroupDescription, GroupMember
from eventlog.kafka.cluster import Cluster
from eventlog.kafka.group import KafkaGroup, group_names
from eventlog.records.record import TopicPartition
from eventlog.storage.mapped.foreign_heads import PartitionOffsets
from eventlog.views.activity import Activity, GroupActivity, Sample, TopicActivity
from eventlog.views.groups import GroupSummary

_UNKNOWN = -1  # a number that brokers do not tell


def partition_offsets(cluster: Cluster, topic: str) -> list[PartitionOffsets]:
    """Where each partition of a topic starts and ends; everything in between is durable. Raises `TopicNotFoundError`."""
    partitions = [TopicPartition(topic, number) for number in range(cluster.partition_count(topic))]
    starts, ends = cluster.starts(partitions), cluster.ends(partitions)
    return [PartitionOffsets(starts[each], ends[each], ends[each]) for each in partitions]


def describe_group(group: KafkaGroup) -> GroupDescription:
    """A group with its members; its generation is -1, because brokers do not tell it. Raises `GroupNotFoundError`."""
    found = group.coordinators_view()
    members = tuple(_member(each) for each in found.members)
    return GroupDescription(group.name, _UNKNOWN, found.partition_assignor or "", members, group.lag())


def _member(member: Any) -> GroupMember:
    partitions = tuple(sorted(TopicPartition(each.topic, each.partition) for each in member.assignment.topic_partitions))
    topics = tuple(sorted({each.topic for each in partitions}))
    host = member.host.removeprefix("/")
    return GroupMember(
        member.member_id, member.group_instance_id, _UNKNOWN, host, topics, partitions, _UNKNOWN, partitions, member.client_id
    )


def describe_groups(cluster: Cluster) -> list[GroupDescription]:
    """All groups, sorted by name."""
    found = []
    for name in group_names(cluster):
        with suppress(GroupNotFoundError):  # deleted meanwhile
            found.append(describe_group(KafkaGroup(cluster, name)))
    return found


def measure_activity(cluster: Cluster, earlier: object) -> Activity:
    """What topics and groups contain; with an `earlier` activity also the rates between the two. Sizes are not known."""
    if earlier is not None and not isinstance(earlier, Activity):
        raise InvalidTypeError(f"earlier must be an Activity, not {type(earlier).__name__}")
    sample = _take_sample(cluster)
    before = earlier.sample if earlier is not None else None
    topics = tuple(_topic(name, offsets, sample, before) for name, offsets in sample.offsets.items())
    groups = tuple(_group(name, summary, sample, before) for name, summary in sample.groups.items())
    return Activity(now_ms(), topics, groups, (), sample)


def _take_sample(cluster: Cluster) -> Sample:
    offsets: dict[str, Sequence[PartitionOffsets]] = {}
    for topic in cluster.topics():
        with suppress(TopicNotFoundError):  # deleted meanwhile
            offsets[topic] = partition_offsets(cluster, topic)
    groups = {}
    for description in describe_groups(cluster):
        lag = {each: found for each, found in description.lag.items() if found is not None}
        groups[description.name] = GroupSummary(description, cluster.committed(description.name), lag)
    return Sample(time.monotonic(), offsets, {}, groups, {})


def _topic(name: str, offsets: Sequence[PartitionOffsets], sample: Sample, before: Sample | None) -> TopicActivity:
    records = sum(end - start for start, end, _ in offsets)
    rate = None
    if before is not None and name in before.offsets:
        appended = sum(each.end_offset for each in offsets) - sum(each.end_offset for each in before.offsets[name])
        rate = max(appended, 0) / _seconds(sample, before)
    return TopicActivity(name, len(offsets), records, None, rate, None)


def _group(name: str, summary: GroupSummary, sample: Sample, before: Sample | None) -> GroupActivity:
    lag, members = summary.total_lag, len(summary.description.members)
    if before is None or name not in before.groups:
        return GroupActivity(name, members, lag, None, None)
    was = before.groups[name]
    seconds = _seconds(sample, before)
    acknowledged = _total(summary.committed) - _total(was.committed)
    shrunk = ((was.total_lag or 0) - (lag or 0)) / seconds
    left = 0.0 if lag == 0 else lag / shrunk if lag is not None and shrunk > 0 else None
    return GroupActivity(name, members, lag, max(acknowledged, 0) / seconds, left)


def _seconds(sample: Sample, before: Sample) -> float:
    return max(sample.monotonic_seconds - before.monotonic_seconds, 1e-3)


def _total(committed: Mapping[TopicPartition, int]) -> int:
    return sum(committed.values())
