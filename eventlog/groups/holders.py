"""Which groups still need the records of a topic."""

from __future__ import annotations

from eventlog.errors import GroupNotFoundError
from eventlog.groups import coordinator
from eventlog.groups.registry import Groups


def committed_by_group(groups: Groups, topic: str) -> dict[int, dict[str, int | None]]:
    """By partition number, the committed offset of every group that uses the topic; None where it has committed nothing yet.

    A group uses a topic if it has committed anything there, or if members subscribe to it that are not gone."""
    found: dict[int, dict[str, int | None]] = {}
    for name in groups.internals.groups.names():
        table = groups.find(name)
        if table is None:
            continue  # deleted meanwhile
        try:
            state = table.state()
        except GroupNotFoundError:
            continue
        members = [member for member in state.members.values() if not coordinator.is_gone(groups.locks, table, member)]
        if any(topic in member.topics for member in members):
            for partition in range(groups.internals.topics.find(topic).partitions):
                found.setdefault(partition, {})[name] = None
        for place, offset in table.all_committed().items():
            if place.topic == topic:
                found.setdefault(place.partition, {})[name] = offset
    return found
