"""Moving committed offsets from outside the group: the owners of the partitions are fenced, and continue from there."""

from __future__ import annotations

from collections.abc import Mapping

from eventlog.catalog.history import OffsetChange
from eventlog.catalog.offsets import StoredOffset
from eventlog.clock import now_ms
from eventlog.groups.registry import Groups
from eventlog.groups.table import GroupTable
from eventlog.records.record import TopicPartition
from eventlog.storage.mapped.offset_slots import NOBODY, NOTHING_COMMITTED, none_if_nothing


def set_offsets(groups: Groups, table: GroupTable, offsets: Mapping[TopicPartition, int | None], kind: str) -> None:
    """Set committed offsets, forward or back, durably; None removes a committed offset. `kind` is the entry in the history.

    The members get a new generation: a commit by the former owner of one of these partitions raises `StaleMemberError`. The
    decision is in the catalog before any slot is changed. So an error leaves everything unchanged, and if the process dies, the
    next process to read the group does the rest. Raises `LockTimeoutError` if a stopped process holds a slot; then nothing is
    changed."""
    table.make_slots(offsets)
    for partition in offsets:
        table.ack(partition, NOBODY).settle()
    wanted = {partition: NOTHING_COMMITTED if offset is None else offset for partition, offset in offsets.items()}
    with groups.store.catalog.groups.change(table.name) as change:
        table.catch_up(change)
        state = table.state_in(change)
        change.store(state._replace(generation=state.generation + 1, reset_by=change.number))
        former = change.offsets()
        changes = []
        for partition, offset in wanted.items():
            slot = former[partition].slot
            changes.append(OffsetChange(partition, none_if_nothing(table.acks.committed(slot)), none_if_nothing(offset)))
            change.store_offset(partition, StoredOffset(offset, now_ms(), slot, change.number))
        change.note(kind, changes)
    table.state()  # applies the decision to the slots, and announces the generation
