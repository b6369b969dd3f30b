"""The activity in a store: two samples show how fast topics grow and groups consume."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from eventlog.clock import now_ms
from eventlog.errors import InvalidTypeError, TopicNotFoundError
from eventlog.groups.registry import Groups
from eventlog.log import Log
from eventlog.records.record import TopicPartition
from eventlog.storage.mapped.foreign_heads import PartitionOffsets, PartitionSize
from eventlog.storage.mapped.server_counters import ServerCounters, read_counters
from eventlog.views.groups import GroupSummary, read_all_offsets, summarize_groups
from eventlog.views.servers import ServerActivity, server_activity


class TopicActivity(NamedTuple):
    """A topic: its content, and its rates since the earlier sample, which are None without one. A cluster does not tell the
    bytes: there they are None."""

    name: str
    partitions: int
    records: int
    size_bytes: int | None
    records_per_second: float | None
    bytes_per_second: float | None


class GroupActivity(NamedTuple):
    """A consumer group: its live members, and the number of records after its committed offsets (None while there are no such
    offsets).

    `records_per_second` is how many it acknowledged since the earlier sample, None without one. `seconds_to_catch_up` is
    extrapolated from how the lag shrank between the two samples: 0 without lag, None if it does not shrink or there is no
    earlier sample."""

    name: str
    members: int
    lag: int | None
    records_per_second: float | None
    seconds_to_catch_up: float | None


class Sample(NamedTuple):
    """What was measured at one moment, to compare a later sample with."""

    monotonic_seconds: float
    offsets: Mapping[str, Sequence[PartitionOffsets]]
    sizes: Mapping[str, Sequence[PartitionSize]]
    groups: Mapping[str, GroupSummary]
    servers: Mapping[int, ServerCounters]


class Activity:
    """All topics, consumer groups and running servers at one moment, sorted by name or number. `time_ms` is that moment (ms
    since the epoch)."""

    def __init__(
        self,
        time_ms: int,
        topics: tuple[TopicActivity, ...],
        groups: tuple[GroupActivity, ...],
        servers: tuple[ServerActivity, ...],
        sample: Sample,
    ) -> None:
        self.time_ms = time_ms
        self.topics = topics
        self.groups = groups
        self.servers = servers
        self.sample = sample

    def __repr__(self) -> str:
        return f"<Activity of {len(self.topics)} topics and {len(self.groups)} groups at {self.time_ms}>"


def measure_activity(log: Log, groups: Groups, earlier: Activity | None) -> Activity:
    """Measure everything, with rates since an earlier sample. Raises `InvalidTypeError`."""
    if earlier is not None and not isinstance(earlier, Activity):
        raise InvalidTypeError(f"earlier must be an Activity or None, not {type(earlier).__name__}")
    sample = _take_sample(log, groups)
    before = None if earlier is None else earlier.sample
    return Activity(
        now_ms(),
        tuple(_topic_activity(name, sample, before) for name in sample.offsets),
        tuple(_group_activity(name, sample, before) for name in sample.groups),
        tuple(_server_activity(number, sample, before) for number in sample.servers),
        sample,
    )


def _take_sample(log: Log, groups: Groups) -> Sample:
    # The clock is read before each sample, so that samples of equal length are a constant time apart.
    seconds = time.monotonic()
    offsets = read_all_offsets(log)
    sizes = {}
    for name in list(offsets):
        try:
            sizes[name] = log.sizes(name)
        except TopicNotFoundError:
            del offsets[name]  # deleted meanwhile
    summaries = {group.description.name: group for group in summarize_groups(groups, offsets)}
    return Sample(seconds, offsets, sizes, summaries, {server.number: server for server in read_counters(log.store.path)})


def _topic_activity(name: str, sample: Sample, before: Sample | None) -> TopicActivity:
    offsets, sizes = sample.offsets[name], sample.sizes[name]
    records_rate = bytes_rate = None
    if before is not None and name in before.offsets:
        seconds = max(sample.monotonic_seconds - before.monotonic_seconds, 1e-3)
        grown = [
            _growth(*then, *now)
            for then, now in zip(
                zip(before.offsets[name], before.sizes[name], strict=False), zip(offsets, sizes, strict=False), strict=False
            )
        ]
        records_rate = sum(records for records, _ in grown) / seconds
        bytes_rate = sum(size_bytes for _, size_bytes in grown) / seconds
    records = sum(each.end_offset - each.start_offset for each in offsets)
    return TopicActivity(
        name, len(offsets), records, sum(each.size_bytes for each in sizes), records_rate, bytes_rate
    )  # fmt: skip


def _growth(
    offsets_then: PartitionOffsets, size_then: PartitionSize, offsets: PartitionOffsets, size: PartitionSize
) -> tuple[int, float]:
    """The records and bytes that came between two samples; for a recreated topic, none are known."""
    records = max(0, offsets.end_offset - offsets_then.end_offset)
    size_bytes: float = size.size_bytes - size_then.size_bytes
    if offsets.start_offset != offsets_then.start_offset or size_bytes < 0:
        # Segments were deleted meanwhile: use the mean size of a record.
        size_bytes = records * size.size_bytes / max(1, offsets.end_offset - offsets.start_offset)
    return records, size_bytes


def _group_activity(name: str, sample: Sample, before: Sample | None) -> GroupActivity:
    group = sample.groups[name]
    lag, then = group.total_lag, None if before is None else before.groups.get(name)
    rate = seconds_to_catch_up = None
    if before is not None and then is not None:
        seconds = max(sample.monotonic_seconds - before.monotonic_seconds, 1e-3)
        rate = _acknowledged(then.committed, group.committed) / seconds
        shrunk = ((then.total_lag or 0) - (lag or 0)) / seconds
        if lag and shrunk > 0:
            seconds_to_catch_up = lag / shrunk
    if lag == 0:
        seconds_to_catch_up = 0.0
    return GroupActivity(name, len(group.description.members), lag, rate, seconds_to_catch_up)


def _server_activity(number: int, sample: Sample, before: Sample | None) -> ServerActivity:
    seconds = None if before is None else max(sample.monotonic_seconds - before.monotonic_seconds, 1e-3)
    then = None if before is None else before.servers.get(number)
    return server_activity(sample.servers[number], then, seconds)


def _acknowledged(then: Mapping[TopicPartition, int], now: Mapping[TopicPartition, int]) -> int:
    """The records between two sets of committed offsets; a partition's first commit says not from where it came."""
    return sum(max(0, offset - then[partition]) for partition, offset in now.items() if partition in then)
