"""A consumer group as users see it: members, committed offsets, lag."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from eventlog.catalog.history import HistoryEntry
from eventlog.errors import GroupNotFoundError, InvalidArgumentError, InvalidTypeError
from eventlog.groups import coordinator
from eventlog.groups.fencing import set_offsets
from eventlog.groups.look import GroupLook, lag_of, look_at
from eventlog.groups.progress import Progress, progress_of
from eventlog.groups.registry import Groups
from eventlog.groups.table import GroupTable, existing
from eventlog.options import check_number, check_offset
from eventlog.records.record import TopicPartition, as_topic_partition
from eventlog.storage.partition import check_offset_within


@dataclass(frozen=True)
class GroupMember:
    """A live member of a group. `partitions` are those it owns now, `assigned` those it is to have, once others have given
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
class GroupDescription:
    """A group at one moment. The generation grows with every change of who has which partition."""

    name: str
    generation: int
    assignor: str
    members: tuple[GroupMember, ...]


def describe(look: GroupLook) -> GroupDescription:
    """A group as it was seen."""
    owned: dict[int, list[TopicPartition]] = {}
    for place, seen in sorted(look.offsets.items()):
        owned.setdefault(seen.owner, []).append(place)
    members = tuple(
        GroupMember(
            member.member_id, member.instance_id, member.process_id, member.host, member.topics,
            tuple(owned.get(member.epoch, ())), member.joined_ms, look.state.assignment.get(member.epoch, ()),
        )
        for member in look.alive
    )  # fmt: skip
    return GroupDescription(look.state.name, look.state.generation, look.state.assignor, members)


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

    def _look(self) -> GroupLook:
        self._groups.internals.check_usable()
        look = look_at(self._groups.internals, self._groups.locks, self.name)
        if look is None:
            raise GroupNotFoundError(f"there is no consumer group {self.name!r}")
        return look

    def committed(self) -> dict[TopicPartition, int]:
        """The committed offset of every partition that has one: all records before it are acknowledged."""
        return self._look().committed()

    def lag(self) -> dict[TopicPartition, int | None]:
        """How many records each partition has behind the committed offset; None where nothing was committed yet.

        Holds every partition of the topics that live members subscribe to, and every one with a committed offset."""
        return lag_of(self._groups.internals, self._look())

    def progress(self) -> dict[TopicPartition, Progress]:
        """The same partitions, with lag in records, bytes and seconds, rates, and the time to catch up."""
        return progress_of(self._groups.internals, self._look(), self.history())

    def history(self, limit: int | None = None) -> list[HistoryEntry]:
        """What became of the committed offsets, and who did it: the last `limit` entries (None: all), the oldest first.

        Commits are noted as they reach the disk, about once a second. A group keeps at most 1,000 entries, or 256 KiB."""
        if limit is not None:
            check_number("limit", limit, 1, 2**31 - 1)
        with self._groups.internals.groups.look(self.name) as group:
            existing(group.state, self.name)
            return group.history(limit)

    def describe(self) -> GroupDescription:
        """Who is in the group, and which partitions each member owns."""
        return describe(self._look())

    def reset(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Set committed offsets, forward or back, durably. A running group is fenced, and goes on from there.

        Each offset has to be in its partition. Nothing else ever moves a committed offset back. Raises `OffsetOutOfRangeError`,
        `TopicNotFoundError`, `InvalidArgumentError`, `InvalidTypeError`, and then nothing was changed."""
        set_offsets(self._groups, self._table(), self._checked(offsets), "reset")

    def undo_reset(self) -> dict[TopicPartition, int | None]:
        """Give back the committed offsets that the last reset, import or deletion of offsets took away; returns what they are
        now, None where there was none. Records that were deleted since cannot come back: there it is the first that is left.

        A running group is fenced as by a reset. A second undo undoes the first. Raises `InvalidArgumentError` if the history
        has none that could be undone."""
        entry = next((entry for entry in reversed(self.history()) if entry.kind != "commit"), None)
        if entry is None:
            raise InvalidArgumentError(f"the history of group {self.name!r} has no reset that could be undone")
        offsets = {change.partition: self._within(change.partition, change.before) for change in entry.changes}
        set_offsets(self._groups, self._table(), offsets, "undo")
        return offsets

    def _within(self, partition: TopicPartition, offset: int | None) -> int | None:
        if offset is None:
            return None
        bounds = self._groups.internals.offsets(*partition)
        return min(max(offset, bounds.start_offset), bounds.end_offset)

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
                raise InvalidArgumentError(
                    f"group {self.name!r} has {len(alive)} live members, such as process {alive[0].process_id}: "
                    "close them first"
                )
            coordinator.delete_inside(change, table)
        self._groups.internals.signals.catalog_changed()
