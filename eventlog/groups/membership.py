"""One consumer's membership in a group: which partitions it owns, and which it must give up or may take.

A partition changes hands in two steps, so that it never has two owners: a new generation names the new owner; the current
owner gives the partition up at its next review, and only then does the new owner take it. The partitions of a dead or
expelled member can be taken at once. This is the reconciliation of Kafka's KIP-848, without a broker.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable
from typing import NamedTuple

from eventlog.catalog.groups import GroupState, Member, RemoteMember
from eventlog.errors import GroupNotFoundError, StaleMemberError
from eventlog.groups.coordinator import JoinRequest, Origin
from eventlog.groups.deletion import delete_if_unused
from eventlog.groups.registry import Groups
from eventlog.groups.table import GroupTable
from eventlog.records.record import TopicPartition
from eventlog.storage.mapped.offset_slots import NOBODY, OffsetSlot


class Review(NamedTuple):
    """What the group's state requires of a member. `lost` are the partitions that it no longer owns, `revoked` those that
    it must give up. With `is_expelled` it is no longer in the group."""

    lost: list[TopicPartition]
    revoked: list[TopicPartition]
    is_expelled: bool = False


class Membership:
    """`owned` are the partitions that this member may read and commit. Not for several threads at once."""

    def __init__(self, groups: Groups, group: GroupTable, request: JoinRequest, origin: Origin | None = None) -> None:
        """`origin` is where the member is; None: in this process."""
        self.group = group
        self.owned: dict[TopicPartition, OffsetSlot] = {}
        self.known_changes = -1
        self.wants_attention = False  # set by the watcher once a second
        self._groups = groups
        self._state: GroupState | None = None
        self._request = request
        self._origin = origin
        self._epoch: int | None = None  # it may have been announced
        self.has_joined = False
        self.member: Member

    def join(self) -> None:
        """Become a member. After an interrupt, `abandon` undoes whatever was done."""
        coordinator, origin = self._groups.coordinator, self._origin or Origin.of_this_process()
        self._groups.start_watching()  # first: a member that cannot watch the others must not join
        self.member = coordinator.join(self.group, self._request, origin, self._note_epoch)
        self._groups.watch(self)
        self.has_joined = True

    def _note_epoch(self, epoch: int) -> None:
        self._epoch = epoch

    def adopt(self, member: Member) -> None:
        """Act for a remote member for which another process has acted so far."""
        self._groups.start_watching()
        self.member = member
        for partition, slot in self.group.slots().items():
            if self.group.acks.owner(slot) == member.epoch:
                self.owned[partition] = self.group.acks.ack(slot, member.epoch)
        self._groups.watch(self)
        self.has_joined = True

    @property
    def state(self) -> GroupState:
        """The group's state. Raises `GroupNotFoundError`."""
        return self._state_now()

    @property
    def has_changed(self) -> bool:
        """Has anything happened in the group since the last review?"""
        return self.group.acks.changes != self.known_changes

    def seen(self) -> None:
        """Show that this member is at work."""
        self.wants_attention = False
        self.group.acks.seen(self.member.seat, self.member.epoch)

    def review(self) -> Review:
        """Compare with the state of the group. Raises `StaleMemberError` if another process has replaced this static member,
        and `GroupNotFoundError` if the group was deleted."""
        self.known_changes = self.group.acks.changes  # read before the state: a later change causes another review
        state = self._state_now()
        if self.member.epoch not in state.members:
            self._check_not_replaced(state)
            return Review(sorted(self.owned), [], is_expelled=True)
        target = set(state.assignment.get(self.member.epoch, ()))
        lost = self.lost()
        revoked = sorted(partition for partition in self.owned if partition not in target and partition not in lost)
        return Review(lost, revoked)

    def lost(self) -> list[TopicPartition]:
        """The partitions that this member no longer owns though it did not give them up, because the group was reset or the
        member expelled."""
        return sorted(partition for partition, ack in self.owned.items() if not ack.is_owned)

    def _state_now(self) -> GroupState:
        if self.group.acks.is_deleted:
            raise GroupNotFoundError(f"group {self.group.name!r} was deleted")
        if self._state is None or self._state.generation != self.group.acks.generation:
            known = self.group.known_state
            if known is None or known.generation != self.group.acks.generation:
                known = self.group.state()
            self._state = known
            if any(member.remote is None for member in known.members.values()):
                self._groups.wake_watcher()  # there may be another process to watch
        return self._state

    def _check_not_replaced(self, state: GroupState) -> None:
        for other in state.members.values():
            if other.instance_id is not None and other.instance_id == self.member.instance_id:
                raise StaleMemberError(
                    f"process {other.process_id} on {other.host} joined group {self.group.name!r} with this instance_id, "
                    f"{other.instance_id!r}: only one consumer may use it"
                )

    def disown(self, partitions: Iterable[TopicPartition]) -> None:
        """Stop owning these partitions, without giving anything up."""
        for partition in partitions:
            self.owned.pop(partition, None)

    def give_up(self, partitions: Iterable[TopicPartition]) -> None:
        """Give these partitions up, so that others can take them."""
        for partition in partitions:
            ack = self.owned.get(partition)
            if ack is not None:
                ack.release()  # on an error it is still owned, and the next review gives it up
                del self.owned[partition]

    def take(
        self,
        starting_offset: Callable[[TopicPartition], int] | None,
        withheld: Container[TopicPartition] = frozenset(),
        *,
        require_stable: bool = False,
    ) -> None:
        """Take the partitions that are assigned to this member and have no owner, except those that are `withheld`.
        `starting_offset` returns where the group starts in a partition that it has never read, None if that is not for this
        process to say; it is not stored, because a membership must not keep its consumer alive.

        With `require_stable`, as in Kafka's OffsetFetch, partitions of which an open transaction has offsets are left until it
        has ended: that counts as a change in the group."""
        state = self._state_now()
        assigned = state.assignment.get(self.member.epoch, ())
        wanted = [each for each in assigned if each not in self.owned and each not in withheld]
        if wanted and require_stable:
            unstable = self._groups.before_reading(self.group.name)
            wanted = [each for each in wanted if each not in unstable]
        if starting_offset is None:
            self.group.make_slots(wanted)
        else:
            self.group.begin(wanted, starting_offset)
        for partition in wanted:
            ack = self.group.ack(partition, self.member.epoch)
            owner = self.group.acks.owner(ack.slot)
            if self._may_be_taken_from(owner, state) and ack.take(owner):
                self.owned[partition] = ack
        if wanted:  # again: until the partitions were taken, their former owners could still send offsets
            unstable = self._groups.before_reading(self.group.name)
            if require_stable:
                self.give_up([each for each in wanted if each in unstable])

    def _may_be_taken_from(self, owner: int, state: GroupState) -> bool:
        """Is there no owner, or none that could give the partition up? An absent static member never will. An owner that this
        state does not know may have joined since. So the catalog is read again: it knows every member that has ever owned
        anything, unless that member is gone."""
        if owner == self.member.epoch:
            return True  # taken by another process that has acted for this remote member
        if owner in state.members:
            return not self._groups.coordinator.is_here(state.members[owner])
        return owner == NOBODY or owner not in self.group.state().members

    def subscribe(self, topics: tuple[str, ...], remote: RemoteMember | None = None) -> None:
        """Change the subscription, and what a remote member says of itself, or take account of changes to its topics."""
        self.member = self._groups.coordinator.subscribe(self.group, self.member, topics, remote)

    def leave(self, *, is_final: bool = False) -> None:
        """Give up all partitions and stop being a member; also a static member will not return if this `is_final`."""
        if not self.has_joined:
            self.abandon()
            return
        self._groups.unwatch(self)
        try:
            self.give_up(list(self.owned))
        finally:
            self._groups.coordinator.leave(self.group, self.member, is_final=is_final)
        delete_if_unused(self._groups.store, self._groups.coordinator, self.group)

    def abandon(self) -> None:
        """End the membership of a member that was expelled or replaced, or that did not finish joining."""
        self._groups.unwatch(self)
        self.owned.clear()
        if self._epoch is not None:
            self._groups.coordinator.presence.withdraw(self._epoch)
