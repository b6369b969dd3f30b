"""Who is in a group, and who has which partition: each function is one transaction, run by whichever process needs it.

There is no coordinator process. A transaction on the catalog is the only place where a generation is made; the mapped file
of the group then tells everybody that there is a new one.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

from eventlog.catalog.groups import GroupChange, GroupState, Member
from eventlog.clock import now_ms
from eventlog.errors import EventLogError, InvalidArgumentError, StaleMemberError
from eventlog.groups.liveness import MemberLocks
from eventlog.groups.rebalance import next_generation, subscribed_topics, succeed
from eventlog.groups.table import GroupTable
from eventlog.storage.mapped.offset_slots import SEATS
from eventlog.storage.segments import names
from eventlog.store.store import Store


class JoinRequest(NamedTuple):
    """What a consumer wants of its group."""

    topics: tuple[str, ...]
    assignor: str
    lease_ms: int
    absence_ms: int
    instance_id: str | None


def join(
    store: Store, locks: MemberLocks, group: GroupTable, request: JoinRequest, note_epoch: Callable[[int], None]
) -> Member:
    """Become a member. `note_epoch` hears of the epoch before its lock is held, so that the caller can release it whatever
    interrupts this. Raises `InvalidArgumentError` if the live members use another assignor."""
    epoch = None
    try:
        with store.catalog.groups.change(group.name) as change:
            group.catch_up(change)
            epoch = change.number
            note_epoch(epoch)
            locks.hold(epoch, store.options.lock_timeout_ms)
            try:
                member, state = _enter(locks, group, change, request)
            except BaseException:
                locks.release(epoch)  # before the transaction ends: the next one may get the same number
                epoch = None
                raise
        group.acks.sit(member.seat, member.epoch)
        group.acks.announce(state.generation)
    except BaseException:
        if epoch is not None:
            locks.release(epoch)
        raise
    return member


def _enter(locks: MemberLocks, group: GroupTable, change: GroupChange, request: JoinRequest) -> tuple[Member, GroupState]:
    state = group.state_in(change)
    others = [other for other in state.members.values() if not is_gone(locks, group, other)]
    state = _with_assignor(state, request.assignor, others)
    member = _new_member(change.number, request, others)
    former = next((other for other in others if other.instance_id and other.instance_id == member.instance_id), None)
    may_succeed = former is not None and former.topics == member.topics and len(others) == len(state.members)
    if former is not None and may_succeed and _is_complete(change, state):
        state = succeed(state, former, member)
    else:
        others = [other for other in others if other is not former]
        state = _reassign(change, state, [*others, member])
    change.store(state)
    return member, state


def _new_member(epoch: int, request: JoinRequest, others: list[Member]) -> Member:
    taken = {other.seat for other in others}
    seat = next((seat for seat in range(SEATS) if seat not in taken), None)
    if seat is None:
        raise InvalidArgumentError(f"a group has at most {SEATS} members")
    return Member(
        epoch=epoch,
        seat=seat,
        process_id=os.getpid(),
        host=os.uname().nodename,
        topics=request.topics,
        lease_ms=request.lease_ms,
        absence_ms=request.absence_ms,
        joined_ms=now_ms(),
        instance_id=request.instance_id,
    )


def _with_assignor(state: GroupState, assignor: str, others: list[Member]) -> GroupState:
    if others and state.assignor != assignor:
        raise InvalidArgumentError(
            f"group {state.name!r} assigns partitions by {state.assignor!r}: join with that, not with {assignor!r}"
        )
    return state._replace(assignor=assignor)


def _is_complete(change: GroupChange, state: GroupState) -> bool:
    """Is every partition assigned? Not if a topic was created while no member was there to notice it."""
    counts = change.partition_counts(subscribed_topics(state.members.values()))
    return sum(map(len, state.assignment.values())) == sum(counts.values())


def _reassign(change: GroupChange, state: GroupState, members: list[Member]) -> GroupState:
    after = next_generation(state, members, change.partition_counts(subscribed_topics(members)))
    return after._replace(emptied_ms=now_ms()) if state.members and not members else after


def leave(store: Store, locks: MemberLocks, group: GroupTable, member: Member) -> None:
    """Stop being a member. A static member stays on the list, so that it finds its partitions when it comes back.

    Where that cannot be stored, others take the member for one that died."""
    try:
        with store.catalog.groups.change(group.name) as change:
            group.catch_up(change)
            state = group.find_state_in(change)
            if state is not None and member.epoch in state.members:
                if member.instance_id is None:
                    state = _reassign(change, state, [each for each in state.members.values() if each.epoch != member.epoch])
                else:
                    absent = member._replace(absent_since_ms=_monotonic_ms())
                    state = state._replace(members={**state.members, member.epoch: absent})
                change.store(state)
    finally:
        locks.release(member.epoch)
    if state is not None:
        group.acks.announce(state.generation)


def subscribe(store: Store, group: GroupTable, member: Member, topics: tuple[str, ...]) -> Member:
    """Change what a member subscribes to, or take account of topics that were created or have more partitions now.

    Raises `StaleMemberError` if it is no member any more."""
    with store.catalog.groups.change(group.name) as change:
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


def expel_the_gone(store: Store, locks: MemberLocks, group: GroupTable) -> GroupState:
    """Give the partitions of members that died, hang or stay away to the others; returns the group as it is then."""
    with store.catalog.groups.change(group.name) as change:
        group.catch_up(change)
        before = group.state_in(change)
        present = [_noted(locks, member) for member in before.members.values() if not is_gone(locks, group, member)]
        after = before
        if len(present) < len(before.members):
            after = _reassign(change, before, present)
        elif present != list(before.members.values()):
            # A new generation, because others may now take what a member that is away had yet to give up.
            members = {member.epoch: member for member in present}
            after = before._replace(members=members, generation=before.generation + 1)
        if after is not before:
            change.store(after)
    if after.generation != before.generation:
        group.acks.announce(after.generation)
    return after


def delete_if_unused(store: Store, locks: MemberLocks, group: GroupTable) -> None:
    """Remove a group without live members that has never committed anything, and that nothing is waiting for."""

    def is_unused(state: GroupState) -> bool:
        return not has_members(locks, group, state) and not group.has_committed(state)

    if not group.all_committed() and not _is_awaited(store, group):
        delete(store, group, is_unused)


def _is_awaited(store: Store, group: GroupTable) -> bool:
    """Are there records behind where the group began? Its workers may have failed with the first of them."""
    with store.catalog.groups.look(group.name) as found:
        starts = {place: stored.start for place, stored in found.offsets().items() if stored.start >= 0}
    for place, start in starts.items():
        with suppress(EventLogError, OSError):
            if start < store.partitions.offsets(*place).end_offset:
                return True
    return False


def has_members(locks: MemberLocks, group: GroupTable, state: GroupState) -> bool:
    """Is anybody in the group, or kept a place for?"""
    return any(not is_gone(locks, group, member) for member in state.members.values())


def delete(store: Store, group: GroupTable, may_go: Callable[[GroupState], bool]) -> bool:
    """Delete a group, with its offsets, if it `may_go` as it is then; tells whether it was.

    `may_go` decides while no commit comes through: what has returned until then it sees, what comes later is refused. Where the
    group stays after all, for whatever reason, commits come through again; whoever opens the group next sees to that, too."""
    is_refusing = False
    try:
        with store.catalog.groups.change(group.name) as change:
            group.catch_up(change)
            state = group.find_state_in(change)
            if state is None or not may_go(state):
                return False
            is_refusing = True
            group.acks.refuse_commits(state.slots)
            is_decided = may_go(state)
            if is_decided:
                change.delete()
            else:
                group.acks.accept_commits()
    except BaseException:
        if is_refusing:
            _accept_commits_again(store, group)
        raise
    if is_decided:
        group.acks.set_deleted(state.slots)
        with suppress(EventLogError):  # housekeeping removes it, too
            remove_file(store, group.name)
    return is_decided


def _accept_commits_again(store: Store, group: GroupTable) -> None:
    """After a deletion that failed: unless the catalog has it in spite of the error."""
    with suppress(EventLogError), store.catalog.groups.change(group.name) as change:
        group.catch_up(change)


def remove_file(store: Store, name: str) -> None:
    """Remove the mapped file of a group that is not in the catalog any more; one that was made anew keeps its own."""
    with store.catalog.groups.change(name) as change:
        if change.state is None:
            names.acks_file(store.path, name).unlink(missing_ok=True)


def is_gone(locks: MemberLocks, group: GroupTable, member: Member) -> bool:
    """Should the member's partitions go to others? Its process died, it hangs, or as a static member it stays away too long."""
    if locks.is_alive(member.epoch) and member.absent_since_ms is None:
        unseen_ms = group.acks.unseen_ms(member.seat, member.epoch)
        if unseen_ms < 0:
            group.acks.sit(member.seat, member.epoch)  # it has not come to it: its lease begins now
        return unseen_ms > member.lease_ms
    if member.instance_id is None:
        return True
    absent_ms = 0 if member.absent_since_ms is None else _monotonic_ms() - member.absent_since_ms
    return not 0 <= absent_ms <= member.absence_ms


def is_absent(locks: MemberLocks, member: Member) -> bool:
    """Has this static member gone away without anybody having noted it?"""
    return member.absent_since_ms is None and not locks.is_alive(member.epoch)


def _noted(locks: MemberLocks, member: Member) -> Member:
    """The member; with the time since when, if it is absent."""
    return member._replace(absent_since_ms=_monotonic_ms()) if is_absent(locks, member) else member


def _monotonic_ms() -> int:
    return time.monotonic_ns() // 1_000_000
