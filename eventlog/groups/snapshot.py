"""Snapshots of groups, taken without joining them: cheap enough for hundreds of groups with thousands of partitions."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from eventlog.catalog.groups import GroupChange, GroupState, Member
from eventlog.catalog.offsets import StoredOffset
from eventlog.groups.classic_members import assignment_by_member, shown_members
from eventlog.groups.registry import Groups
from eventlog.records.record import TopicPartition
from eventlog.storage.mapped.foreign_heads import PartitionOffsets
from eventlog.storage.mapped.offset_slots import NOBODY, NOTHING_COMMITTED, read_slots
from eventlog.storage.partition.snapshot import Ends
from eventlog.storage.segments import names
from eventlog.store.store import Store


class OffsetSnapshot(NamedTuple):
    """A partition in a group: the committed offset, or `NOTHING_COMMITTED`, when it was committed (ms since the epoch), the
    epoch of the member that owns the partition, or `NOBODY`, and where the group started to read it, or `NOTHING_COMMITTED`."""

    committed: int
    committed_ms: int
    owner: int
    start: int

    @property
    def position(self) -> int:
        """The group's position: its committed offset, or else where it started; `NOTHING_COMMITTED` if neither is known."""
        return self.committed if self.committed != NOTHING_COMMITTED else self.start


class GroupSnapshot(NamedTuple):
    """A group at one moment. `alive` are the members whose processes are alive; `counts` is the number of partitions of each
    existing topic that they subscribe to."""

    state: GroupState
    offsets: Mapping[TopicPartition, OffsetSnapshot]
    alive: tuple[Member, ...]
    counts: Mapping[str, int]

    def committed(self) -> dict[TopicPartition, int]:
        """The committed offsets of all partitions that have one, sorted."""
        return {key: slot.committed for key, slot in sorted(self.offsets.items()) if slot.committed != NOTHING_COMMITTED}

    def partitions(self) -> list[TopicPartition]:
        """Every partition that the group has started to read or committed, or that a live member subscribes to, sorted."""
        subscribed = {TopicPartition(topic, number) for topic, count in self.counts.items() for number in range(count)}
        return sorted(subscribed | {key for key, slot in self.offsets.items() if slot.position != NOTHING_COMMITTED})

    def owner(self, partition: TopicPartition) -> Member | None:
        """The live member that owns a partition."""
        slot = self.offsets.get(partition)
        return next((member for member in self.alive if slot is not None and member.epoch == slot.owner), None)


def lag_of(
    store: Store,
    group: GroupSnapshot,
    known: dict[TopicPartition, PartitionOffsets] | None = None,
    ends: Ends | None = None,
) -> dict[TopicPartition, int | None]:
    """The number of records of each partition after the committed offset or, if nothing was committed yet, after where the
    group started; None if neither is known.

    Partition offsets in `known`, and known `ends`, are not read again: for calls for many groups in turn."""
    known = {} if known is None else known
    ends = Ends(store.path) if ends is None else ends
    lags: dict[TopicPartition, int | None] = {}
    for partition in group.partitions():
        slot = group.offsets.get(partition)
        if slot is None or slot.position == NOTHING_COMMITTED:
            lags[partition] = None
            continue
        offsets = known.get(partition)
        if offsets is None:
            try:
                offsets = known[partition] = store.partitions.offsets(*partition)
            except LookupError:
                continue  # the topic is gone
        lags[partition] = ends.lag(*partition, slot.position, offsets)
    return lags


def is_reset_unfinished(store: Path, state: GroupState, offsets: Mapping[TopicPartition, StoredOffset]) -> bool:
    """Did the process that reset the group die before all slots had applied the reset? The group's file need not be open."""
    if state.reset_by == 0:
        return False
    slots = read_slots(names.acks_file(store, state.name), state.incarnation, state.slots)
    return slots is not None and any(slots.decided_by[each.slot] < each.decided_by for each in offsets.values())


def take_snapshot(groups: Groups, name: str) -> GroupSnapshot | None:
    """A group; None if no group has this name."""
    with groups.store.catalog.groups.read(name) as group:
        return _snapshot_of(groups, group)


def take_snapshots(groups: Groups) -> list[GroupSnapshot]:
    """All groups, sorted by name."""
    with groups.store.catalog.groups.read_all() as found:
        snapshots = (_snapshot_of(groups, group) for group in found)
        return [snapshot for snapshot in snapshots if snapshot is not None]


def _snapshot_of(groups: Groups, group: GroupChange) -> GroupSnapshot | None:
    state = group.state
    if state is None:
        return None
    if groups.coordinator.has_live_classic_members(state):
        return _snapshot_of_classic(groups, group, state)
    alive = groups.coordinator.alive(state)
    counts = group.partition_counts({topic for member in alive for topic in member.topics})
    return GroupSnapshot(state, _offsets(groups.store, state, group.offsets()), alive, counts)


def _snapshot_of_classic(groups: Groups, group: GroupChange, state: GroupState) -> GroupSnapshot:
    assert state.classic is not None
    members, owners = shown_members(state)
    offsets = _offsets(groups.store, state, group.offsets())
    shown = state._replace(
        generation=state.classic.generation,
        assignor=state.classic.protocol,
        members=members,
        assignment=assignment_by_member(owners),
    )
    counts = group.partition_counts({topic for member in members.values() for topic in member.topics})
    nothing = OffsetSnapshot(NOTHING_COMMITTED, -1, NOBODY, NOTHING_COMMITTED)
    owned = {key: offsets.get(key, nothing)._replace(owner=number) for key, number in owners.items()}
    free = {key: each._replace(owner=NOBODY) for key, each in offsets.items()}
    return GroupSnapshot(shown, {**free, **owned}, tuple(members.values()), counts)


def _offsets(
    store: Store, state: GroupState, stored: Mapping[TopicPartition, StoredOffset]
) -> dict[TopicPartition, OffsetSnapshot]:
    slots = read_slots(names.acks_file(store.path, state.name), state.incarnation, state.slots)
    if slots is None:
        return {key: OffsetSnapshot(each.offset, each.committed_ms, NOBODY, each.start) for key, each in stored.items()}
    return {
        key: OffsetSnapshot(each.offset, each.committed_ms, NOBODY, each.start)
        if slots.decided_by[each.slot] < each.decided_by  # the reset has not been applied to its slot
        else OffsetSnapshot(slots.committed[each.slot], slots.committed_ms[each.slot], slots.owners[each.slot], each.start)
        for key, each in stored.items()
        if each.slot < state.slots
    }
