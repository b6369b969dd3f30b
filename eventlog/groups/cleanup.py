"""What becomes of groups when a topic is deleted, or when nobody has used them for long."""

from __future__ import annotations

from contextlib import suppress

from eventlog.catalog.groups import GroupState
from eventlog.catalog.offsets import TOPIC_DELETED_MS, StoredOffset
from eventlog.clock import now_ms
from eventlog.errors import GroupNotFoundError
from eventlog.groups.deletion import delete_group, remove_file
from eventlog.groups.rebalance import next_generation, subscribed_topics
from eventlog.groups.registry import Groups
from eventlog.groups.table import GroupTable
from eventlog.storage.mapped.offset_slots import NOTHING_COMMITTED
from eventlog.storage.segments import names


def remove_topic_from_groups(groups: Groups, topic: str) -> None:
    """Take the committed offsets of a topic from every group, durably, and its partitions from their members.

    To be called once the topic is not in the catalog any more, so that nobody assigns it again. A commit that comes later
    raises `StaleMemberError`. Raises `LockTimeoutError`."""
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
            # The slot stays the partition's: other processes remember which one it is.
            change.store_offset(partition, StoredOffset(NOTHING_COMMITTED, TOPIC_DELETED_MS, found.slot, change.number))
    table.state()  # which lets the slots go by that, and announces the generation


def expire_groups(groups: Groups, older_than_ms: int) -> list[str]:
    """Delete the groups that nobody has been in for `older_than_ms` milliseconds, and whose last commit and creation are
    longer ago, too; returns their names. A static member counts for as long as its partitions are kept for it.

    What a process that died has begun with a group is finished."""
    expired = []
    for name in groups.store.catalog.groups.names():
        table = groups.find(name)
        if table is not None and _expire(groups, table, now_ms() - older_than_ms):
            expired.append(name)
    _remove_leftovers(groups)
    if expired:
        groups.store.signals.catalog_changed()
    return expired


def unused_groups(groups: Groups, older_than_ms: int) -> list[str]:
    """The names of the groups that `expire_groups` would delete."""
    tables = [table for name in groups.store.catalog.groups.names() if (table := groups.find(name)) is not None]
    before_ms = now_ms() - older_than_ms
    return [each.name for each in tables if _is_unused(each, groups.store.catalog.groups.find(each.name), before_ms)]


def _remove_leftovers(groups: Groups) -> None:
    """Remove the mapped files of groups whose deletion was decided by a process that died before it came to their files."""
    path = groups.store.path
    files = set(names.shared_directory(path).glob(f"*{names.ACKS_SUFFIX}"))
    for file in files - {names.acks_file(path, name) for name in groups.store.catalog.groups.names()}:
        remove_file(groups.store, file.stem)


def _expire(groups: Groups, table: GroupTable, before_ms: int) -> bool:
    """Delete the group if it was last used before this time; tells whether it was."""
    try:
        state = table.state()
    except GroupNotFoundError:
        return False  # deleted just now
    if state.members and not groups.coordinator.has_members(table, state):
        groups.coordinator.expel_the_gone(table)  # from now on it counts as empty
        return False
    if not _is_unused(table, state, before_ms):
        return False  # most groups are in use, and need no write transaction
    return delete_group(groups.store, table, lambda state: _is_unused(table, state, before_ms))


def _is_unused(table: GroupTable, state: GroupState | None, before_ms: int) -> bool:
    if state is None or state.members:
        return False
    committed = (slot for slot in range(state.slots) if table.acks.committed(slot) != NOTHING_COMMITTED)
    return max([state.created_ms, state.emptied_ms, *map(table.acks.committed_ms, committed)]) < before_ms
