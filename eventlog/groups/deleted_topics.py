"""Removing a deleted topic from the groups that have read it."""

from __future__ import annotations

from contextlib import suppress

from eventlog.catalog.offsets import TOPIC_DELETED_MS, StoredOffset
from eventlog.errors import GroupNotFoundError
from eventlog.groups.rebalance import next_generation, subscribed_topics
from eventlog.groups.registry import Groups
from eventlog.groups.table import GroupTable
from eventlog.storage.mapped.offset_slots import NOTHING_COMMITTED


def remove_topic_from_groups(groups: Groups, topic: str) -> None:
    """Remove the committed offsets of a topic from every group, durably, and its partitions from their members.

    To be called once the topic is no longer in the catalog, so that it cannot be assigned again. A later commit raises
    `StaleMemberError`. Raises `LockTimeoutError`."""
    for name in groups.store.catalog.groups.names():
        table = groups.find(name)
        if table is not None:
            with suppress(GroupNotFoundError):  # deleted meanwhile
                _remove_topic_from(groups, table, topic)


def _remove_topic_from(groups: Groups, table: GroupTable, topic: str) -> None:
    with groups.store.catalog.groups.change(table.name) as change:
        table.catch_up(change)
        state = table.state_in(change)
        stored = {partition: found for partition, found in change.offsets().items() if partition.topic == topic}
        is_assigned = any(partition.topic == topic for each in state.assignment.values() for partition in each)
        if not stored and not is_assigned:
            return
        members = list(state.members.values())
        if members:
            state = next_generation(state, members, change.partition_counts(subscribed_topics(members) - {topic}))
        else:
            state = state._replace(generation=state.generation + 1)
        change.store(state._replace(reset_by=change.number))
        for partition, found in stored.items():
            # The partition keeps its slot, because other processes remember its number.
            change.store_offset(partition, StoredOffset(NOTHING_COMMITTED, TOPIC_DELETED_MS, found.slot, change.number))
    table.state()  # applies the decision to the slots, and announces the generation
