"""A consumer group as users see it: members, committed offsets, lag."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from eventlog.catalog.groups import Member
from eventlog.catalog.offsets import StoredOffset
from eventlog.clock import now_ms
from eventlog.errors import GroupNotFoundError, InvalidArgumentError, InvalidTypeError
from eventlog.groups import coordinator
from eventlog.groups.progress import Progress, lags_of, progress_of
from eventlog.groups.registry import Groups
from eventlog.groups.table import GroupTable
from eventlog.options import check_offset
from eventlog.records.record import TopicPartition, as_topic_partition
from eventlog.storage.acks import NOBODY
from eventlog.storage.partition import check_offset_within


@dataclass(frozen=True)
class GroupMember:
    """A live member of a group. `partitions` are those it owns now, `assigned` those it is to have once their owners have given
    them up; `joined_ms` is in milliseconds since the epoch."""

    member_id: str
    instance_id: str | None
    process_id: int
    host: str
    topics: tuple[str, ...]
    partitions: tuple[TopicPartition, ...]
    joined_ms: int
    assigned: tuple[TopicPartition, ...] = ()


@dataclass(frozen=True)
class OffsetChange:
    """What a reset does to one partition: the committed offset before, None where nothing was committed, and after."""

    partition: TopicPartition
    before: int | None
    after: int


@dataclass(frozen=True)
class GroupDescription:
    """A group at one moment. The generation grows with every change of who has which partition."""

    name: str
    generation: int
    assignor: str
    members: tuple[GroupMember, ...]


class Group:
    """A consumer group by its name. Made by `EventLog.group`; every method raises `GroupNotFoundError` once it is deleted."""

    def __init__(self, groups: Groups, name: str) -> None:
        self.name = name
        self._groups = groups
        self._table()

    def __repr__(self) -> str:
        return f"<Group {self.name}>"

    def _table(self) -> GroupTable:
        table = self._groups.find(self.name)
        if table is None:
            raise GroupNotFoundError(f"there is no consumer group {self.name!r}")
        return table

    def committed(self) -> dict[TopicPartition, int]:
        """The committed offset of every partition that has one: all records before it are acknowledged."""
        return self._table().all_committed()

    def lag(self) -> dict[TopicPartition, int | None]:
        """How many records each partition has behind the committed offset; None where nothing was committed yet.

        Holds every partition of the topics that live members subscribe to, and every one with a committed offset."""
        return lags_of(self._groups, self._table(), self._groups.internals.offsets)

    def progress(self) -> dict[TopicPartition, Progress]:
        """The partitions of `lag`, each with how far the group is: records, bytes and seconds behind, and who owns it.

        Costs a read for each partition that lags; `lag` does not."""
        members = {partition: member.member_id for member in self.describe().members for partition in member.partitions}
        return progress_of(self._groups, self._table(), members)

    def describe(self) -> GroupDescription:
        """Who is in the group, and which partitions each member owns."""
        table = self._table()
        state = table.state()
        owned: dict[int, list[TopicPartition]] = {}
        for partition, slot in sorted(table.slots().items()):
            owned.setdefault(table.acks.owner(slot), []).append(partition)
        owned.pop(NOBODY, None)
        members = tuple(
            GroupMember(
                member.member_id, member.instance_id, member.process_id, member.host, member.topics,
                tuple(owned.get(member.epoch, ())), member.joined_ms,
                tuple(sorted(state.assignment.get(member.epoch, ()))),
            )
            for member in state.members.values()
            if self._groups.locks.is_alive(member.epoch)
        )  # fmt: skip
        return GroupDescription(self.name, state.generation, state.assignor, members)

    def plan_reset(self, offsets: Mapping[TopicPartition, int]) -> list[OffsetChange]:
        """What `reset` with these offsets would change, sorted by partition. Changes nothing; raises what `reset` does."""
        committed = self.committed()
        checked = self._checked(offsets)
        return [OffsetChange(partition, committed.get(partition), checked[partition]) for partition in sorted(checked)]

    def reset(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Set committed offsets, forward or back, durably. A running group is fenced, and goes on from there.

        Each offset has to be in its partition. Nothing else ever moves a committed offset back. Raises `OffsetOutOfRangeError`,
        `TopicNotFoundError`, `InvalidArgumentError`, `InvalidTypeError`, and then nothing was changed."""
        checked = self._checked(offsets)
        table = self._table()
        table.make_slots(checked)
        with self._groups.internals.groups.change(self.name) as change:
            state = table.state_in(change)
            state = replace(state, generation=state.generation + 1)
            change.store(state)
            slots = {partition: stored.slot for partition, stored in change.offsets().items()}
            for partition, offset in checked.items():
                change.store_offset(partition, StoredOffset(offset, now_ms(), slots[partition]))
            for partition, offset in checked.items():
                table.acks.ack(slots[partition], NOBODY).reset(offset)
        for partition, offset in checked.items():
            table.acks.set_persisted(slots[partition], offset)
        table.acks.announce(state.generation)

    def _checked(self, offsets: Mapping[TopicPartition, int]) -> dict[TopicPartition, int]:
        if not isinstance(offsets, Mapping):
            raise InvalidTypeError(f"offsets is a mapping of TopicPartition to int, not {type(offsets).__name__}")
        if not offsets:
            raise InvalidArgumentError("offsets is empty: name the partitions to reset")
        checked = {}
        for key, offset in offsets.items():
            partition = as_topic_partition(key)
            check_offset(offset)
            check_offset_within(self._groups.internals.partition(*partition), offset)
            checked[partition] = offset
        return checked

    def delete(self) -> None:
        """Remove the group with its offsets. Raises `InvalidArgumentError` while it has live members."""
        table = self._table()
        locks = self._groups.locks
        with self._groups.internals.groups.change(self.name) as change:
            state = table.state_in(change)
            alive = [each for each in state.members.values() if not coordinator.is_gone(locks, table, each)]
            if alive:
                raise InvalidArgumentError(f"group {self.name!r} {self._who_is_in(alive)}")
            coordinator.delete_inside(change, table)
        self._groups.internals.signals.catalog_changed()

    def _who_is_in(self, members: list[Member]) -> str:
        """Why the group cannot be deleted."""
        live = [member for member in members if self._groups.locks.is_alive(member.epoch) and member.absent_since_ms is None]
        if live:
            return f"has {len(live)} live members, such as process {live[0].process_id}: close them first"
        return (
            f"keeps the partitions of {len(members)} static members that are away, such as {members[0].instance_id!r}, for up "
            f"to {members[0].absence_ms} ms: wait until that is over"
        )
