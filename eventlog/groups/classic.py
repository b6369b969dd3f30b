"""Groups of remote clients that use Kafka's classic protocol: which server process coordinates one, and what it stores.

The server keeps the members in memory. It stores each complete generation, so that another server, or the same one after a
restart, continues with it.
"""

from __future__ import annotations

import os

from eventlog.catalog.classic import ClassicState
from eventlog.catalog.groups import GroupState
from eventlog.clock import now_ms
from eventlog.errors import InvalidArgumentError, StaleMemberError
from eventlog.groups.classic_members import topics_of
from eventlog.groups.coordinator import Coordinator, check_is_no_share_group
from eventlog.groups.deletion import delete_if_unused
from eventlog.groups.registry import Groups
from eventlog.groups.table import GroupTable
from eventlog.records.record import TopicPartition
from eventlog.storage.mapped.offset_slots import OffsetSlot


class Term:
    """A group for as long as this process is its coordinator. The methods block; they are for one thread at a time.

    The term's number is the epoch of a member that this process holds a lock for, and that owns the slots of the group: a
    coordinator that was replaced can neither commit nor store anything."""

    def __init__(self, groups: Groups, table: GroupTable, number: int) -> None:
        self.table = table
        self.number = number
        self._groups = groups
        self._slots: dict[TopicPartition, OffsetSlot] = {}

    def find_slot(self, partition: TopicPartition) -> OffsetSlot | None:
        """The slot of a partition that was committed in this term."""
        return self._slots.get(partition)

    def slot(self, partition: TopicPartition) -> OffsetSlot:
        """The slot of a partition, which this term owns from now on. Raises `StaleMemberError` if the term has ended."""
        slot = self._slots.get(partition)
        if slot is None:
            slot = self._slots[partition] = self.table.ack(partition, self.number)
        owner = self.table.acks.owner(slot.slot)
        if owner > self.number or not slot.take(owner):  # owned by a later member
            raise StaleMemberError(f"another process coordinates group {self.table.name!r} now")
        return slot

    def store(self, state: ClassicState) -> None:
        """Store a generation, durably. Raises `StaleMemberError` if the term has ended."""
        with self._groups.store.catalog.groups.change(self.table.name) as change:
            self.table.catch_up(change)
            before = self.table.state_in(change)
            if before.classic is None or before.classic.term != self.number:
                raise StaleMemberError(f"another process coordinates group {self.table.name!r} now")
            emptied_ms = now_ms() if before.classic.members and not state.members else before.emptied_ms
            change.store(before._replace(classic=state, emptied_ms=emptied_ms))

    def end(self, state: ClassicState | None = None) -> None:
        """Stop being the coordinator; with a state, which has no members, it is stored, and a group that has never committed
        anything is removed."""
        try:
            if state is not None:
                self.store(state)
            for slot in range(self.table.state().slots):
                self.table.acks.ack(slot, self.number).release()
        finally:
            self._groups.coordinator.presence.withdraw(self.number)
        if state is not None:
            delete_if_unused(self._groups.store, self._groups.coordinator, self.table)


def begin_term(groups: Groups, name: str) -> tuple[Term, ClassicState]:
    """Become the coordinator of a classic group, which is created if it does not exist; an empty one becomes classic.

    Returns its last generation, too. Raises `InvalidArgumentError` if members of this library use the group, and
    `StaleMemberError` if another process coordinates its remote members."""
    coordinator = groups.coordinator
    table = groups.open(name)
    with groups.store.catalog.groups.change(name) as change:
        table.catch_up(change)
        before = table.state_in(change)
        check_is_no_share_group(before)
        if any(not coordinator.is_gone(table, member) for member in before.members.values()):
            raise InvalidArgumentError(f"group {name!r} has members that are not remote clients of the classic protocol")
        if coordinator.has_live_classic_members(before):
            raise StaleMemberError(f"another process coordinates group {name!r}")
        former = before.classic or ClassicState(0, 0)
        state = former._replace(term=change.number, process_id=os.getpid())
        coordinator.presence.announce(change.number)
        try:
            generation = before.generation + bool(before.members)  # a member that hangs finds out that it was expelled
            change.store(before._replace(generation=generation, members={}, assignment={}, classic=state))
        except BaseException:
            coordinator.presence.withdraw(change.number)
            raise
        term = Term(groups, table, change.number)
    try:
        if before.members:
            table.acks.announce(generation)
        for slot in range(before.slots):
            table.acks.ack(slot, term.number).take(table.acks.owner(slot))
    except BaseException:
        coordinator.presence.withdraw(term.number)
        raise
    return term, state


def find_classic(groups: Groups, name: str) -> ClassicState | None:
    """The last stored generation of a classic group; None if there is no such group."""
    state = groups.store.catalog.groups.find(name)
    return None if state is None else state.classic


def topics_in_use(coordinator: Coordinator, state: GroupState) -> set[str]:
    """The topics that live remote members of a group subscribe to."""
    if state.classic is None or not coordinator.has_live_classic_members(state):
        return set()
    return {topic for member in state.classic.members for topic in topics_of(state.classic, member)}


def check_no_classic_members(coordinator: Coordinator, state: GroupState, action: str) -> None:
    """Raise `InvalidArgumentError` if the group has live remote members, which would not hear of `action`."""
    if coordinator.has_live_classic_members(state):
        assert state.classic is not None
        first = state.classic.members[0]
        raise InvalidArgumentError(
            f"group {state.name!r} has {len(state.classic.members)} remote members, such as client {first.client_id!r} on "
            f"{first.host}: close them before you {action} it"
        )
