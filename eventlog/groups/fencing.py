"""Moving committed offsets from outside the group: whoever owns the partitions is fenced, and goes on from there."""

from __future__ import annotations

from collections.abc import Mapping

from eventlog.catalog.history import OffsetChange
from eventlog.catalog.offsets import StoredOffset
from eventlog.clock import now_ms
from eventlog.groups.registry import Groups
from eventlog.groups.table import GroupTable
from eventlog.records.record import TopicPartition
from eventlog.storage.acks import NOBODY, NOTHING_COMMITTED, none_if_nothing


def set_offsets(groups: Groups, table: GroupTable, offsets: Mapping[TopicPartition, int | None], kind: str) -> None:
    """Set committed offsets, forward or back, durably; None: nothing is committed any more. `kind` is what the history says.

    The members get a new generation: a commit by whoever owned one of these partitions raises `StaleMemberError`."""
    table.make_slots(offsets)
    wanted = {place: NOTHING_COMMITTED if offset is None else offset for place, offset in offsets.items()}
    with groups.internals.groups.change(table.name) as change:
        state = table.state_in(change)
        state = state._replace(generation=state.generation + 1)
        change.store(state)
        slots = {place: stored.slot for place, stored in change.offsets().items()}
        changes = []
        for place, offset in wanted.items():
            changes.append(OffsetChange(place, none_if_nothing(table.acks.committed(slots[place])), none_if_nothing(offset)))
            change.store_offset(place, StoredOffset(offset, now_ms(), slots[place]))
        change.note(kind, changes)
        for place, offset in wanted.items():
            table.acks.ack(slots[place], NOBODY).reset(offset)
    for place, offset in wanted.items():
        table.acks.set_persisted(slots[place], offset)
    table.acks.announce(state.generation)
