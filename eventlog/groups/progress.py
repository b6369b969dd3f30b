"""How far a group is in each partition, and how much stands before it: in records, in bytes and in time."""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from eventlog.clock import now_ms
from eventlog.errors import EventLogError, GroupNotFoundError
from eventlog.groups.registry import Groups
from eventlog.groups.table import GroupTable
from eventlog.records.record import TopicPartition
from eventlog.storage.acks import NOTHING_COMMITTED
from eventlog.storage.glance import PartitionOffsets


@dataclass(frozen=True)
class Progress:
    """Where a group is in one partition. None is unknown.

    All records before `committed` are acknowledged; that was committed at `committed_ms`, in milliseconds since the epoch.
    `start_offset` is the offset of the partition's first record, `end_offset` the one that the next record gets. `lag` is how
    many records are not acknowledged, `lag_bytes` how many bytes they are in the log, counted from the first of them, and
    `lag_seconds` the age of that one by its timestamp; 0 where there is none. `member` is the id of the live member that owns
    the partition."""

    committed: int | None
    committed_ms: int | None
    start_offset: int
    end_offset: int
    lag: int | None
    lag_bytes: int | None
    lag_seconds: float | None
    member: str | None


def slots_of_group(groups: Groups, table: GroupTable) -> dict[TopicPartition, int | None]:
    """The partitions that live members subscribe to, or that have a committed offset, with the slot of each that has one.

    Sorted; what does not exist any more is left out. Raises `GroupNotFoundError`."""
    with groups.internals.groups.look(table.name) as found:
        state = table.state_in(found)
        stored = found.offsets()
        alive = [member for member in state.members.values() if groups.locks.is_alive(member.epoch)]
        subscribed = {topic for member in alive for topic in member.topics}
        counts = found.partition_counts(subscribed | {partition.topic for partition in stored})
    slots: dict[TopicPartition, int | None] = {
        TopicPartition(topic, number): None for topic in subscribed & counts.keys() for number in range(counts[topic])
    }
    for partition, each in stored.items():
        is_there = partition.partition < counts.get(partition.topic, 0)
        if is_there and (partition in slots or table.acks.committed(each.slot) != NOTHING_COMMITTED):
            slots[partition] = each.slot
    return dict(sorted(slots.items()))


def lags_of(
    groups: Groups, table: GroupTable, offsets_of: Callable[[str, int], PartitionOffsets]
) -> dict[TopicPartition, int | None]:
    """How many records each partition has behind the committed offset. `offsets_of` tells where a partition starts and ends."""
    lags: dict[TopicPartition, int | None] = {}
    for partition, slot in slots_of_group(groups, table).items():
        committed = NOTHING_COMMITTED if slot is None else table.acks.committed(slot)
        if committed == NOTHING_COMMITTED:
            lags[partition] = None
        else:
            offsets = offsets_of(*partition)
            lags[partition] = max(0, offsets.end_offset - max(committed, offsets.start_offset))
    return lags


def lags_by_group(groups: Groups) -> dict[str, dict[TopicPartition, int | None]]:
    """The same for every group, by name; each partition is looked at once, however many groups have it."""
    offsets_of = functools.cache(groups.internals.offsets)
    lags = {}
    for name in groups.internals.groups.names():
        table = groups.find(name)
        if table is not None:
            with suppress(GroupNotFoundError):  # deleted meanwhile
                lags[name] = lags_of(groups, table, offsets_of)
    return lags


def progress_of(groups: Groups, table: GroupTable, members: dict[TopicPartition, str]) -> dict[TopicPartition, Progress]:
    """The whole picture; `members` are the ids of the members that own partitions."""
    return {
        partition: _progress(groups, table, partition, slot, members.get(partition))
        for partition, slot in slots_of_group(groups, table).items()
    }


def _progress(
    groups: Groups, table: GroupTable, partition: TopicPartition, slot: int | None, member: str | None
) -> Progress:
    committed = NOTHING_COMMITTED if slot is None else table.acks.committed(slot)
    offsets = groups.internals.offsets(*partition)
    start_offset, end_offset = offsets.start_offset, offsets.end_offset
    if slot is None or committed == NOTHING_COMMITTED:
        return Progress(None, None, start_offset, end_offset, None, None, None, member)
    position = max(committed, start_offset)
    lag_bytes, lag_seconds = (0, 0.0) if position >= end_offset else _behind(groups, partition, position)
    return Progress(
        committed,
        table.acks.committed_ms(slot),
        start_offset,
        end_offset,
        max(0, end_offset - position),
        lag_bytes,
        lag_seconds,
        member,
    )


def _behind(groups: Groups, partition: TopicPartition, position: int) -> tuple[int | None, float | None]:
    """The bytes from this offset on, and the age of the first record there in seconds; None is what cannot be told."""
    lag_bytes, lag_seconds = None, None
    with suppress(EventLogError):  # damaged, or retention has just taken it: unknown for now
        log = groups.internals.partition(*partition)
        lag_bytes = log.bytes_from(position)
        records = log.read(position, 1)
        if not records:
            lag_seconds = 0.0
        elif records[0].timestamp >= 0:
            lag_seconds = max(0, now_ms() - records[0].timestamp) / 1000
    return lag_bytes, lag_seconds
