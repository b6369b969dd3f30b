"""The members of a group and their partitions: each call is one transaction, run by whichever process needs it.

There is no coordinator process. Only a transaction on the catalog creates a generation; the mapped file of the group then
announces the new generation to all processes.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from eventlog.catalog.groups import GroupChange, GroupState, Member, RemoteMember
from eventlog.clock import lease_ms, now_ms
from eventlog.errors import InvalidArgumentError, StaleMemberError
from eventlog.groups.presence import Presence
from eventlog.groups.rebalance import next_generation, subscribed_topics, succeed, voted_assignor
from eventlog.groups.table import GroupTable
from eventlog.logs import logger
from eventlog.storage.mapped.offset_slots import SEATS, read_unseen
from eventlog.storage.segments import names
from eventlog.store.store import Store

SHARE = "share"
"""What a worker of a share group names as its assignor."""

_log = logger("groups")


class GroupFullError(InvalidArgumentError):
    """The group has as many members as a group can have."""


class InstanceInUseError(InvalidArgumentError):
    """Another member with this instance id has not left the group."""


class JoinRequest(NamedTuple):
    """What a consumer asks of its group when it joins. `remote` is what a remote member says of itself: its group may use
    any assignor, and it does not replace a static member that has not left."""

    topics: tuple[str, ...]
    assignor: str
    lease_ms: int
    absence_ms: int
    instance_id: str | None
    remote: RemoteMember | None = None


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
        interrupt. Raises `InvalidArgumentError` if the live members use another assignor, `GroupFullError`, and for a remote
        member `InstanceInUseError`."""
        epoch = None
        try:
            with self._store.catalog.groups.change(group.name) as change:
                group.catch_up(change)
                epoch = change.number
                note_epoch(epoch)
                if request.remote is None:
                    self.presence.announce(epoch)
                try:
                    member, state, former = self._enter(group, change, request, origin)
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
        _tell_joined(state, member, former)
        return member

    def _enter(
        self, group: GroupTable, change: GroupChange, request: JoinRequest, origin: Origin
    ) -> tuple[Member, GroupState, Member | None]:
        """The new member, the state with it, and the member that it replaces."""
        state = group.state_in(change)
        if request.assignor != SHARE:
            check_is_no_share_group(state)
        if self.has_live_classic_members(state):
            raise InvalidArgumentError(
                f"group {group.name!r} has members that are remote clients of Kafka's classic protocol: use another group, or "
                "the protocol 'consumer' in these clients"
            )
        state = state._replace(classic=None)
        others = [other for other in state.members.values() if not self.is_gone(group, other)]
        former = _former(request, others)
        state = _with_assignor(state, request, others, former)
        member = _new_member(change.number, request, origin, others)
        may_succeed = former is not None and former.topics == member.topics and len(others) == len(state.members)
        if former is not None and may_succeed and _is_complete(change, state):
            state = succeed(state, former, member)
        else:
            others = [other for other in others if other is not former]
            state = _reassign(change, state, [*others, member])
        change.store(state)
        return member, state, former

    def leave(self, group: GroupTable, member: Member, *, is_final: bool = False) -> None:
        """Stop being a member. A static member stays on the list, so that it gets its partitions back when it returns, unless
        this `is_final`.

        If this cannot be stored, the other members treat the member as dead."""
        try:
            with self._store.catalog.groups.change(group.name) as change:
                group.catch_up(change)
                state = group.find_state_in(change)
                if state is not None and member.epoch in state.members:
                    state = _without(change, state, member, is_final=is_final)
                    change.store(state)
        finally:
            self.presence.withdraw(member.epoch)
        if state is not None:
            group.acks.announce(state.generation)
            _log.info(
                "group %s: member %s has left: generation %d has %d members",
                group.name, member.member_id, state.generation, len(state.members),
            )  # fmt: skip

    def subscribe(
        self, group: GroupTable, member: Member, topics: tuple[str, ...], remote: RemoteMember | None = None
    ) -> Member:
        """Change what a member subscribes to, or take account of topics that were created or now have more partitions.
        `remote` is what a remote member now says of itself.

        Raises `StaleMemberError` if it is no longer a member."""
        with self._store.catalog.groups.change(group.name) as change:
            group.catch_up(change)
            before = group.state_in(change)
            if member.epoch not in before.members:
                raise StaleMemberError(f"member {member.member_id} was expelled from group {group.name!r}")
            member = member._replace(topics=topics, remote=remote)
            members = list({**before.members, member.epoch: member}.values())
            after = _reassign(change, before._replace(assignor=voted_assignor(members, before.assignor)), members)
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
        for member in before.members.values():
            if member.epoch not in after.members:
                self._tell_expelled(after, member)
        return after

    def _tell_expelled(self, after: GroupState, member: Member) -> None:
        if self.is_here(member):
            reason = f"it has not polled for {member.lease_ms} ms"
        elif member.instance_id is not None:
            reason = f"it has been away for {member.absence_ms} ms"
        else:
            reason = "it is gone"
        _log.warning(
            "group %s: member %s, process %d on %s, was expelled, because %s: generation %d has %d members",
            after.name, member.member_id, member.process_id, member.host, reason, after.generation, len(after.members),
        )  # fmt: skip

    def has_members(self, group: GroupTable, state: GroupState) -> bool:
        """Does the group have a member, or are partitions reserved for an absent static member?"""
        return self.has_live_classic_members(state) or any(not self.is_gone(group, each) for each in state.members.values())

    def has_live_classic_members(self, state: GroupState) -> bool:
        """Has the group members of remote clients that use the classic protocol, and a running server for them?"""
        return state.has_classic_members and state.classic is not None and self.presence.is_alive(state.classic.term)

    def is_gone(self, group: GroupTable, member: Member) -> bool:
        """Should others get the member's partitions? True if it died, hangs, or is a static member that is absent too long."""
        if not self.is_here(member):
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
            0 <= unseen_ms <= member.lease_ms if self.is_here(member) else not _is_away_too_long(member)
            for member, unseen_ms in zip(members, unseen, strict=True)
        )

    def is_here(self, member: Member) -> bool:
        """Does the member's process live? A remote member is here until it leaves: only its lease tells whether it is alive."""
        return _is_here(member, self.presence)

    def alive(self, state: GroupState) -> tuple[Member, ...]:
        """The members that are alive, as `alive_members` finds them."""
        return alive_members(self._store.path, state, self.presence)

    def is_absent(self, member: Member) -> bool:
        """Is this static member absent, and its absence not yet recorded?"""
        return member.absent_since_ms is None and not self.is_here(member)

    def _noted(self, member: Member) -> Member:
        """The member; if it is absent, with the time when that was noticed."""
        return member._replace(absent_since_ms=lease_ms()) if self.is_absent(member) else member


def check_is_no_share_group(state: GroupState) -> None:
    """Raise `InvalidArgumentError` if the group is a share group."""
    if state.share is not None:
        raise InvalidArgumentError(
            f"group {state.name!r} is a share group: its records are handed out one by one by EventLog.worker; a consumer "
            "needs another group"
        )


def alive_members(store: Path, state: GroupState, presence: Presence) -> tuple[Member, ...]:
    """The members whose processes are alive, and the remote members with a valid lease. The group need not be open here."""
    here = [member for member in state.members.values() if _is_here(member, presence)]
    remote = [member for member in here if member.remote is not None]
    seats = [(member.seat, member.epoch) for member in remote]
    unseen = read_unseen(names.acks_file(store, state.name), state.incarnation, seats) if seats else []
    gone = {each.epoch for each, unseen_ms in zip(remote, unseen, strict=True) if not 0 <= unseen_ms <= each.lease_ms}
    return tuple(member for member in here if member.epoch not in gone)


def _tell_joined(state: GroupState, member: Member, former: Member | None) -> None:
    _log.info(
        "group %s: member %s, process %d on %s, has joined: generation %d has %d members",
        state.name, member.member_id, member.process_id, member.host, state.generation, len(state.members),
    )  # fmt: skip
    if former is not None:
        _log.info("group %s: member %s takes over from %s", state.name, member.member_id, former.member_id)


def _is_here(member: Member, presence: Presence) -> bool:
    return member.absent_since_ms is None and (member.remote is not None or presence.is_alive(member.epoch))


def _new_member(epoch: int, request: JoinRequest, origin: Origin, others: list[Member]) -> Member:
    taken = {other.seat for other in others}
    seat = next((seat for seat in range(SEATS) if seat not in taken), None)
    if seat is None:
        raise GroupFullError(f"a group has at most {SEATS} members")
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
        remote=request.remote,
    )


def _former(request: JoinRequest, others: list[Member]) -> Member | None:
    """The member that a joining one replaces: it has the same instance id, or it is the same remote member once more."""
    remote = request.remote
    former = next((other for other in others if other.instance_id and other.instance_id == request.instance_id), None)
    if former is not None and remote is not None and former.absent_since_ms is None:
        raise InstanceInUseError(f"member {former.member_id} with instance id {request.instance_id!r} has not left the group")
    if remote is None:
        return former
    same = next((other for other in others if other.member_id == remote.id), former)
    if same is not former and (former is not None or same is None or same.remote is None):
        raise InvalidArgumentError(f"another member has the id {remote.id!r}: choose a random one")
    return same


def _with_assignor(state: GroupState, request: JoinRequest, others: list[Member], former: Member | None) -> GroupState:
    if request.remote is not None:
        others = [other for other in others if other is not former]
        usual = state.assignor if others else request.assignor
        return state._replace(assignor=voted_assignor(others, usual, request.remote))
    if others and state.assignor != request.assignor:
        raise InvalidArgumentError(
            f"group {state.name!r} assigns partitions by {state.assignor!r}: join with that one, not with {request.assignor!r}"
        )
    return state._replace(assignor=request.assignor)


def _is_complete(change: GroupChange, state: GroupState) -> bool:
    """Is every partition assigned? Not if a topic was created while no member was present to notice it."""
    counts = change.partition_counts(subscribed_topics(state.members.values()))
    return sum(map(len, state.assignment.values())) == sum(counts.values())


def _reassign(change: GroupChange, state: GroupState, members: list[Member]) -> GroupState:
    after = next_generation(state, members, change.partition_counts(subscribed_topics(members)))
    return after._replace(emptied_ms=now_ms()) if state.members and not members else after


def _without(change: GroupChange, state: GroupState, member: Member, *, is_final: bool) -> GroupState:
    if member.instance_id is None or is_final:
        return _reassign(change, state, [each for each in state.members.values() if each.epoch != member.epoch])
    absent = member._replace(absent_since_ms=lease_ms())
    return state._replace(members={**state.members, member.epoch: absent})


def _is_away_too_long(member: Member) -> bool:
    """For an absent member: are its partitions no longer reserved for it?"""
    if member.instance_id is None:
        return True
    absent_ms = 0 if member.absent_since_ms is None else lease_ms() - member.absent_since_ms
    return not 0 <= absent_ms <= member.absence_ms
