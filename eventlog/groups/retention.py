"""Which groups still need the records of a topic: their committed offsets, so that what all have acknowledged may go."""

from __future__ import annotations

from eventlog.catalog.offsets import TOPIC_DELETED_MS
from eventlog.groups.classic import topics_in_use
from eventlog.groups.registry import Groups
from eventlog.groups.table import existing
from eventlog.records.record import TopicPartition
from eventlog.storage.mapped.offset_slots import NOTHING_COMMITTED


def committed_by_group(groups: Groups, topic: str) -> dict[int, dict[str, int | None]]:
    """For each partition of the topic: the committed offset by group, None if the group has committed nothing yet.

    Contains every group that has a slot for the partition, or whose members subscribe to the topic: live members, and static
    ones for as long as their partitions are reserved for them. {} for a topic that does not exist."""
    found: dict[int, dict[str, int | None]] = {}
    for name in groups.store.catalog.groups.names():
        for partition, offset in _committed(groups, name, topic).items():
            found.setdefault(partition, {})[name] = offset
    return found


def _committed(groups: Groups, name: str, topic: str) -> dict[int, int | None]:
    if not _has_read(groups, name, topic):
        return {}
    table = groups.find(name)
    if table is None:
        return {}  # deleted just now
    with groups.store.catalog.groups.read(name) as found:
        if table.find_state_in(found) is None:
            return {}
        state = existing(found.state, name)
        count = found.partition_counts({topic}).get(topic, 0)
        offsets = found.offsets()
        is_subscribed = topic in topics_in_use(groups.coordinator, state) or any(
            topic in member.topics and not groups.coordinator.is_gone(table, member) for member in state.members.values()
        )
    held: dict[int, int | None] = {}
    for partition in range(count):
        stored = offsets.get(TopicPartition(topic, partition))
        offset = NOTHING_COMMITTED if stored is None else table.acks.committed(stored.slot)
        if offset != NOTHING_COMMITTED:
            held[partition] = offset
        elif is_subscribed or (stored is not None and stored.committed_ms != TOPIC_DELETED_MS):
            held[partition] = None
    return held


def _has_read(groups: Groups, name: str, topic: str) -> bool:
    """Is the group involved with the topic? If not, its file is not opened."""
    with groups.store.catalog.groups.read(name) as group:
        members = group.state.members.values() if group.state is not None else ()
        if group.state is not None and topic in topics_in_use(groups.coordinator, group.state):
            return True
        return any(topic in member.topics for member in members) or any(each.topic == topic for each in group.offsets())
