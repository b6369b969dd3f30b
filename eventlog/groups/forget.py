"""Forgetting: the offsets of a topic that is deleted, and groups that nobody uses any more."""

from __future__ import annotations

from dataclasses import replace

from eventlog.catalog.groups import GroupChange
from eventlog.catalog.offsets import StoredOffset
from eventlog.clock import now_ms
from eventlog.groups import coordinator
from eventlog.groups.rebalance import next_generation, subscribed_topics
from eventlog.groups.registry import Groups
from eventlog.groups.table import GroupTable
from eventlog.storage.acks import NOBODY, NOTHING_COMMITTED


def forget_topic(groups: Groups, topic: str) -> None:
    """Let every group forget what it committed in a topic that is not in the catalog any more.

    Owners lose its partitions: a late commit raises `StaleMemberError`. A topic made anew with the name begins anew."""
    for name in groups.internals.groups.names():
        table = groups.find(name)
        if table is not None:
            _forget_in_group(groups, table, topic)


def _forget_in_group(groups: Groups, table: GroupTable, topic: str) -> None:
    with groups.internals.groups.change(table.name) as change:
        state = table.find_state_in(change)
        slots = [(place, stored.slot) for place, stored in change.offsets().items() if place.topic == topic]
        is_assigned = state is not None and any(topic in member.topics for member in state.members.values())
        if state is None or not (slots or is_assigned):
            return
        if state.members:
            counts = change.partition_counts(subscribed_topics(state.members.values()))
            state = next_generation(state, state.members.values(), counts)
        else:
            state = replace(state, generation=state.generation + 1)
        change.store(state)
        for place, slot in slots:
            change.store_offset(place, StoredOffset(NOTHING_COMMITTED, -1, slot))
            table.acks.ack(slot, NOBODY).reset(NOTHING_COMMITTED)
    for _, slot in slots:
        table.acks.set_persisted(slot, NOTHING_COMMITTED)
    table.acks.announce(state.generation)


def expire_groups(groups: Groups, older_than_ms: int) -> list[str]:
    """Remove groups whose members are gone and which have committed nothing for that long; returns their names."""
    expired = []
    for name in groups.internals.groups.names():
        table = groups.find(name)
        if table is None:
            continue  # deleted meanwhile
        with groups.internals.groups.look(name) as group:
            is_unused = _is_unused(groups, table, group, older_than_ms)
        if is_unused:
            with groups.internals.groups.change(name) as change:
                if _is_unused(groups, table, change, older_than_ms):
                    coordinator.delete_inside(change, table)
                    expired.append(name)
    if expired:
        groups.internals.signals.catalog_changed()
    return expired


def _is_unused(groups: Groups, table: GroupTable, group: GroupChange, older_than_ms: int) -> bool:
    state = table.find_state_in(group)
    if state is None or any(not coordinator.is_gone(groups.locks, table, member) for member in state.members.values()):
        return False
    last_ms = max((table.acks.committed_ms(stored.slot) for stored in group.offsets().values()), default=-1)
    return max(last_ms, state.created_ms) + older_than_ms < now_ms()
