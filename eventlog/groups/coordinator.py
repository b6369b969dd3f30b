"""The members of a group and their partitions: each call is one transaction, run by whichever process needs it.

There is no coordinator process. Only a transaction on the catalog creates a generation; the mapped file of the group then
announces the new generation to all processes.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import NamedTuple

from eventlog.catalog.groups import GroupChange, GroupState, Member
from eventlog.clock import now_ms
from eventlog.errors import InvalidArgumentError, StaleMemberError
from eventlog.groups.presence import Presence
from eventlog.groups.rebalance import next_generation, subscribed_topics, succeed
from eventlog.groups.table import GroupTable
from eventlog.storage.mapped.offset_slots import SEATS, read_unseen
from eventlog.storage.segments import names
from eventlog.store.store import Store


class JoinRequest(NamedTuple):
    """What a consumer asks of its group when it joins."""

    topics: tuple[str, ...]
    assignor: str
    lease_ms: int
    absence_ms: int
    instance_id: str | None


class Origin(NamedTuple):
    """Where a member runs: the local process that acts for it, and the host that its consumer runs on. `client_id` is the name
    that a consumer on another host gives itself."""

    process_id: int
    host: str
    client_id: str | None = None

    @classmethod
    def of_this_process(cls) -> Origin:
        """The origin of a consumer in this process."""
        return cls(os.getpid(), os.uname().nodename)


class Coordinator:
    """Creates the generations of a store's groups. `presence` knows which members are alive. Safe for several threads."""

    def __init__(self, store: Store, presence: Presence) -> None:
        self._store = store
        self.presence = presence

    def join(self, group: GroupTable, request: JoinRequest, origin: Origin, note_epoch: Callable[[int], None]) -> Member:
        """Become a member. Calls `note_epoch` with the epoch before announcing it, so that the caller can withdraw it after any
        interrupt. Raises `InvalidArgumentError` if the live members use another assignor."""
        epoch = None
        try:
            with self._store.catalog.groups.change(group.name) as change:
                group.catch_up(change)
                epoch = change.number
                note_epoch(epoch)
                self.presence.announce(epoch)
                try:
                    member, state = self._enter(group, change, request, origin)
                except BaseException:
                    self.presence.withdraw(epoch)  # before the transaction ends: the next one may get the same number
                    epoch = None
                    raise
            group.acks.sit(member.seat, member.epoch)
            group.acks.announce(state.generation)
        except BaseException:
            if epoch is not None:
                self.presence.withdraw(epoch)
            raise
        return member

    def _enter(
        self, group: GroupTable, change: GroupChange, request: JoinRequest, origin: Origin
    ) -> tuple[Member, GroupState]:
        state = group.state_in(change)
        others = [other for other in state.members.values() if not self.is_gone(group, other)]
        state = _with_assignor(state, request.assignor, others)
        member = _new_member(change.number, request, origin, others)
        former = next((other for other in others if other.instance_id and other.instance_id == member.instance_id), None)
        may_succeed = former is not None and former.topics == member.topics and len(others) == len(state.members)
        if former is not None and may_succeed and _is_complete(change, state):
            state = succeed(state, former, member)
        else:
            others = [other for other in others if other is not former]
            state = _reassign(change, state, [*others, member])
        change.store(state)
        return member, state

    def leave(self, group: GroupTable, member: Member) -> None:
        """Stop being a member. A static member stays on the list, so that it gets its partitions back when it returns.

        If this cannot be stored, the other members treat the member as dead."""
        try:
            with self._store.catalog.groups.change(group.name) as change:
                group.catch_up(change)
                state = group.find_state_in(change)
                if state is not None and member.epoch in state.members:
                    state = _without(change, state, member)
                    change.store(state)
        finally:
            self.presence.withdraw(member.epoch)
        if state is not None:
            group.acks.announce(state.generation)

    def subscribe(self, group: GroupTable, member: Member, topics: tuple[str, ...]) -> Member:
        """Change what a member subscribes to, or take account of topics that were created or now have more partitions.

        Raises `StaleMemberError` if it is no longer a member."""
        with self._store.catalog.groups.change(group.name) as change:
            group.catch_up(change)
            before = group.state_in(change)
            if member.epoch not in before.members:
                raise StaleMemberError(f"member {member.member_id} was expelled from group {group.name!r}")
            member = member._replace(topics=topics)
            after = _reassign(change, before, list({**before.members, member.epoch: member}.values()))
            is_new = (after.assignment, after.members) != (before.assignment, before.members)
            if is_new:
                change.store(after)
        if is_new:
            group.acks.announce(after.generation)
        return member

    def expel_the_gone(self, group: GroupTable) -> GroupState:
        """Reassign the partitions of members that died, hang or stay away to the others; returns the resulting state."""
        with self._store.catalog.groups.change(group.name) as change:
            group.catch_up(change)
            before = group.state_in(change)
            present = [self._noted(member) for member in before.members.values() if not self.is_gone(group, member)]
            after = before
            if len(present) < len(before.members):
                after = _reassign(change, before, present)
            elif present != list(before.members.values()):
                # A new generation, because others may now take the partitions that an absent member still had to give up.
                members = {member.epoch: member for member in present}
                after = before._replace(members=members, generation=before.generation + 1)
            if after is not before:
                change.store(after)
        if after.generation != before.generation:
            group.acks.announce(after.generation)
        return after

    def has_members(self, group: GroupTable, state: GroupState) -> bool:
        """Does the group have a member, or are partitions reserved for an absent static member?"""
        return any(not self.is_gone(group, member) for member in state.members.values())

    def is_gone(self, group: GroupTable, member: Member) -> bool:
        """Should others get the member's partitions? True if it died, hangs, or is a static member that is absent too long."""
        if not self._is_here(member):
            return _is_away_too_long(member)
        unseen_ms = group.acks.unseen_ms(member.seat, member.epoch)
        if unseen_ms < 0:
            group.acks.sit(member.seat, member.epoch)  # it did not get as far as doing this itself: its lease starts now
        return unseen_ms > member.lease_ms

    def is_in_use(self, state: GroupState) -> bool:
        """Does the group certainly have members? Its file need not be open, and is not opened."""
        members = state.members.values()
        seats = [(member.seat, member.epoch) for member in members]
        unseen = read_unseen(names.acks_file(self._store.path, state.name), state.incarnation, seats)
        return any(
            0 <= unseen_ms <= member.lease_ms if self._is_here(member) else not _is_away_too_long(member)
            for member, unseen_ms in zip(members, unseen, strict=True)
        )

    def _is_here(self, member: Member) -> bool:
        return member.absent_since_ms is None and self.presence.is_alive(member.epoch)

    def is_absent(self, member: Member) -> bool:
        """Is this static member absent, and its absence not yet recorded?"""
        return member.absent_since_ms is None and not self.presence.is_alive(member.epoch)

    def _noted(self, member: Member) -> Member:
        """The member; if it is absent, with the time when that was noticed."""
        return member._replace(absent_since_ms=_monotonic_ms()) if self.is_absent(member) else member


def _new_member(epoch: int, request: JoinRequest, origin: Origin, others: list[Member]) -> Member:
    taken = {other.seat for other in others}
    seat = next((seat for seat in range(SEATS) if seat not in taken), None)
    if seat is None:
        raise InvalidArgumentError(f"a group has at most {SEATS} members")
    return Member(
        epoch=epoch,
        seat=seat,
        process_id=origin.process_id,
        host=origin.host,
        topics=request.topics,
        lease_ms=request.lease_ms,
        absence_ms=request.absence_ms,
        joined_ms=now_ms(),
        instance_id=request.instance_id,
        client_id=origin.client_id,
    )


def _with_assignor(state: GroupState, assignor: str, others: list[Member]) -> GroupState:
    if others and state.assignor != assignor:
        raise InvalidArgumentError(
            f"group {state.name!r} assigns partitions by {state.assignor!r}: join with that one, not with {assignor!r}"
        )
    return state._replace(assignor=assignor)


def _is_complete(change: GroupChange, state: GroupState) -> bool:
    """Is every partition assigned? Not if a topic was created while no member was present to notice it."""
    counts = change.partition_counts(subscribed_topics(state.members.values()))
    return sum(map(len, state.assignment.values())) == sum(counts.values())


def _reassign(change: GroupChange, state: GroupState, members: list[Member]) -> GroupState:
    after = next_generation(state, members, change.partition_counts(subscribed_topics(members)))
    return after._replace(emptied_ms=now_ms()) if state.members and not members else after


def _without(change: GroupChange, state: GroupState, member: Member) -> GroupState:
    if member.instance_id is None:
        return _reassign(change, state, [each for each in state.members.values() if each.epoch != member.epoch])
    absent = member._replace(absent_since_ms=_monotonic_ms())
    return state._replace(members={**state.members, member.epoch: absent})


def _is_away_too_long(member: Member) -> bool:
    """For an absent member: are its partitions no longer reserved for it?"""
    if member.instance_id is None:
        return True
    absent_ms = 0 if member.absent_since_ms is None else _monotonic_ms() - member.absent_since_ms
    return not 0 <= absent_ms <= member.absence_ms


def _monotonic_ms() -> int:
    return time.monotonic_ns() // 1_000_000
