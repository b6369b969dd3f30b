"""A consumer group as users see it: members, committed offsets, lag."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from eventlog.catalog.groups import GroupState, Member
from eventlog.catalog.history import HistoryEntry, OffsetChange
from eventlog.errors import GroupNotFoundError, InvalidArgumentError, InvalidTypeError, translates_os_errors
from eventlog.groups.classic import check_no_classic_members
from eventlog.groups.deletion import delete_group
from eventlog.groups.fencing import set_offsets
from eventlog.groups.progress import Progress, progress_of
from eventlog.groups.registry import Groups
from eventlog.groups.snapshot import GroupSnapshot, lag_of, take_snapshot, take_snapshots
from eventlog.groups.table import GroupTable, existing
from eventlog.options import check_number, check_offset
from eventlog.records.record import TopicPartition, as_topic_partition, as_topic_partitions
from eventlog.storage.mapped.bridge_status import read_bridge_statuses
from eventlog.storage.mapped.foreign_heads import PartitionOffsets
from eventlog.storage.partition.snapshot import Ends


class GroupMember(NamedTuple):
    """A live member of a group. `partitions` are those it owns now, `assigned` those it will own once others have released
    them; `joined_ms` is in milliseconds since the epoch. For a member of a remote client, `client_id` is the name that it gives
    itself, `host` the host that it connects from, and `process_id` the server. `bridge` has the fields of a `BridgeProgress` if
    the member is a bridge (`EventLog.ship`)."""

    member_id: str
    instance_id: str | None
    process_id: int
    host: str
    topics: tuple[str, ...]
    partitions: tuple[TopicPartition, ...]
    joined_ms: int
    assigned: tuple[TopicPartition, ...] = ()
    client_id: str | None = None
    bridge: Mapping[str, Any] | None = None


class GroupDescription(NamedTuple):
    """A group at one moment. The generation grows with every change of the assignment; `lag` is that of `Group.lag`."""

    name: str
    generation: int
    assignor: str
    members: tuple[GroupMember, ...]
    lag: Mapping[TopicPartition, int | None]


def describe_all(groups: Groups) -> list[GroupDescription]:
    """All groups, sorted by name: each partition is read once for all of them."""
    known: dict[TopicPartition, PartitionOffsets] = {}
    ends = Ends(groups.store.path)
    snapshots = take_snapshots(groups)
    bridges = _bridges(groups)
    return [_describe(group, lag_of(groups.store, group, known, ends), bridges) for group in snapshots]


def _bridges(groups: Groups) -> dict[tuple[object, object], Mapping[str, Any]]:
    """What the bridges of the store show of themselves, by their group and their member's epoch."""
    return {(each.get("group"), each.get("member")): each for each in read_bridge_statuses(groups.store.path)}


def _describe(
    group: GroupSnapshot,
    lag: Mapping[TopicPartition, int | None],
    bridges: Mapping[tuple[object, object], Mapping[str, Any]],
) -> GroupDescription:
    owned: dict[int, list[TopicPartition]] = {}
    for partition, slot in sorted(group.offsets.items()):
        owned.setdefault(slot.owner, []).append(partition)
    members = tuple(
        GroupMember(
            member.member_id, member.instance_id, member.process_id, member.host, member.topics,
            tuple(owned.get(member.epoch, ())), member.joined_ms, group.state.assignment.get(member.epoch, ()),
            member.client_id, bridges.get((group.state.name, member.epoch)),
        )
        for member in group.alive
    )  # fmt: skip
    return GroupDescription(group.state.name, group.state.generation, group.state.assignor, members, lag)


def checked_offsets(groups: Groups, offsets: Mapping[TopicPartition, int]) -> dict[TopicPartition, int]:
    """Offsets for `Group.reset`, each of which is in its partition. Raises an error for invalid ones."""
    if not isinstance(offsets, Mapping):
        raise InvalidTypeError(f"offsets must be a mapping of TopicPartition to int, not {type(offsets).__name__}")
    if not offsets:
        raise InvalidArgumentError("offsets is empty: name the partitions to reset")
    checked = {}
    for key, offset in offsets.items():
        partition = as_topic_partition(key)
        check_offset(offset)
        groups.store.partitions.open(*partition).log.check_offset(offset)
        checked[partition] = offset
    return checked


@translates_os_errors()
class Group:
    """A consumer group by its name. Created by `EventLog.group`; every method raises `GroupNotFoundError` once it is
    deleted."""

    def __init__(self, groups: Groups, name: str) -> None:
        self.name = name
        self._groups = groups
        existing(groups.store.catalog.groups.find(name), name)

    def __repr__(self) -> str:
        return f"<Group {self.name}>"

    def _table(self) -> GroupTable:
        table = self._groups.find(self.name)
        if table is None:
            raise GroupNotFoundError(f"there is no consumer group {self.name!r}")
        return table

    def _table_to_set(self) -> GroupTable:
        """To set committed offsets, of which remote members would not hear."""
        table = self._table()
        check_no_classic_members(self._groups.coordinator, table.state(), "reset")
        return table

    def _snapshot(self) -> GroupSnapshot:
        self._groups.store.check_usable()
        snapshot = take_snapshot(self._groups, self.name)
        if snapshot is None:
            raise GroupNotFoundError(f"there is no consumer group {self.name!r}")
        return snapshot

    def committed(self) -> dict[TopicPartition, int]:
        """The committed offset of every partition that has one: all records before it are acknowledged."""
        return self._snapshot().committed()

    def lag(self) -> dict[TopicPartition, int | None]:
        """The number of records of each partition after the committed offset or, if nothing was committed yet, after where
        the group started to read it; None if neither is known.

        Contains every partition of the topics that live members subscribe to, and every one that the group has started to
        read."""
        return lag_of(self._groups.store, self._snapshot())

    def progress(self) -> dict[TopicPartition, Progress]:
        """The same partitions, with lag in records, bytes and seconds, rates, and the time to catch up."""
        return progress_of(self._groups.store, self._snapshot(), self.history())

    def history(self, limit: int | None = None) -> list[HistoryEntry]:
        """How the committed offsets changed, and who changed them: the last `limit` entries (None: all), oldest first.

        Commits are recorded when they reach the disk, about once a second. A group keeps at most 1,000 entries, or 256 KiB."""
        if limit is not None:
            check_number("limit", limit, 1, 2**31 - 1)
        self._groups.store.check_usable()
        with self._groups.store.catalog.groups.read(self.name) as group:
            existing(group.state, self.name)
            return group.history(limit)

    def describe(self) -> GroupDescription:
        """The members of the group, and the partitions that each of them owns."""
        snapshot = self._snapshot()
        return _describe(snapshot, lag_of(self._groups.store, snapshot), _bridges(self._groups))

    def plan_reset(self, offsets: Mapping[TopicPartition, int]) -> list[OffsetChange]:
        """What `reset` with these offsets would change, sorted by partition. Changes nothing; raises what `reset` does."""
        committed = self.committed()
        checked = self._checked(offsets)
        return [OffsetChange(partition, committed.get(partition), checked[partition]) for partition in sorted(checked)]

    def reset(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Set committed offsets, forward or back, durably. A running group is fenced, and continues from there; one of
        remote members has to be stopped first.

        Each offset must be in its partition. Nothing else ever moves a committed offset back. Raises `OffsetOutOfRangeError`,
        `TopicNotFoundError`, `InvalidArgumentError`, `InvalidTypeError`, and then nothing was changed."""
        set_offsets(self._groups, self._table_to_set(), self._checked(offsets), "reset")

    def undo_reset(self) -> dict[TopicPartition, int | None]:
        """Restore the committed offsets from before the last reset, import or deletion of offsets; returns the restored
        offsets, None where there was none. If records were deleted since, the first remaining offset is used.

        A running group is fenced as by a reset. A second undo undoes the first. Topics that were deleted since are left out,
        even if a topic of the same name was created. Raises `InvalidArgumentError` if the history contains no reset to undo."""
        offsets = self.plan_undo()
        set_offsets(self._groups, self._table_to_set(), offsets, "undo")
        return offsets

    def plan_undo(self) -> dict[TopicPartition, int | None]:
        """What `undo_reset` would restore. Changes nothing; raises what `undo_reset` does."""
        entry = next((entry for entry in reversed(self.history()) if entry.kind != "commit"), None)
        offsets = self._before(entry) if entry is not None else {}
        if not offsets:
            raise InvalidArgumentError(f"the history of group {self.name!r} contains no reset to undo")
        return offsets

    def _before(self, entry: HistoryEntry) -> dict[TopicPartition, int | None]:
        """The committed offsets from before this entry, of topics that are still the same."""
        created_ms = {topic.name: topic.created_ms for topic in self._groups.store.catalog.topics.all()}
        return {
            change.partition: self._within(change.partition, change.before)
            for change in entry.changes
            if created_ms.get(change.partition.topic, entry.at_ms + 1) <= entry.at_ms
        }

    def delete_offsets(self, partitions: Iterable[TopicPartition]) -> None:
        """Delete the committed offsets of these partitions, durably. Raises `InvalidArgumentError` if one of them is assigned
        to a live member, `InvalidTypeError`, and then nothing was changed."""
        wanted = as_topic_partitions(partitions)
        for member in self.describe().members:
            used = sorted({*member.assigned, *member.partitions} & set(wanted))
            if used:
                raise InvalidArgumentError(
                    f"{used[0]} is in use by process {member.process_id}, a member of group {self.name!r}: close it first"
                )
        committed = self.committed()
        offsets: dict[TopicPartition, int | None] = {each: None for each in wanted if each in committed}
        if offsets:
            set_offsets(self._groups, self._table(), offsets, "delete")

    def _within(self, partition: TopicPartition, offset: int | None) -> int | None:
        if offset is None:
            return None
        bounds = self._groups.store.partitions.offsets(*partition)
        return min(max(offset, bounds.start_offset), bounds.end_offset)

    def _checked(self, offsets: Mapping[TopicPartition, int]) -> dict[TopicPartition, int]:
        return checked_offsets(self._groups, offsets)

    def delete(self) -> None:
        """Remove the group with its offsets. Raises `InvalidArgumentError` while it has live members."""
        table = self._table()
        coordinator = self._groups.coordinator

        def may_go(state: GroupState) -> bool:
            check_no_classic_members(coordinator, state, "delete")
            alive = [each for each in state.members.values() if not coordinator.is_gone(table, each)]
            if alive:
                raise InvalidArgumentError(f"group {self.name!r} {self._reason_to_stay(alive)}")
            return True

        if not delete_group(self._groups.store, table, may_go):
            raise GroupNotFoundError(f"there is no consumer group {self.name!r}")
        self._groups.store.announcer.announce()

    def _reason_to_stay(self, members: list[Member]) -> str:
        """Why the group cannot be deleted."""
        live = [member for member in members if self._groups.coordinator.is_here(member)]
        if live and live[0].remote is not None:
            return f"has {len(live)} live members, such as {live[0].member_id!r} on {live[0].host}: close them first"
        if live:
            return f"has {len(live)} live members, such as process {live[0].process_id}: close them first"
        return (
            f"keeps the partitions of {len(members)} static members that are absent, such as {members[0].instance_id!r}, "
            "for up "
            f"to {members[0].absence_ms} ms: wait until then"
        )
