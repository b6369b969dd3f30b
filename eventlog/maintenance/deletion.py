"""Deleting topics while others use them."""

from __future__ import annotations

from eventlog.errors import EventLogError
from eventlog.groups.forget import forget_topic
from eventlog.groups.registry import Groups
from eventlog.storage.removal import remove_partition


def delete_topic(groups: Groups, name: str) -> None:
    """Delete a topic: from the first step on there is no such topic, and whoever finds the rest of it goes on.

    Raises `TopicNotFoundError`."""
    groups.internals.topics.begin_deletion(name)
    groups.internals.signals.catalog_changed()
    finish_deletion(groups, name)


def finish_deletion(groups: Groups, name: str) -> bool:
    """Remove what is left of a topic that is being deleted; False if there is none of this name."""
    internals = groups.internals
    found = [topic for topic in internals.topics.being_deleted() if topic.name == name]
    for topic in found:
        for partition in range(topic.partitions):
            try:
                remove_partition(internals.path, internals.signals, name, partition)
            except OSError as error:
                raise EventLogError(f"partition {partition} of topic {name!r} cannot be removed: {error}") from error
        forget_topic(groups, name)
        internals.topics.end_deletion(name)
    if found:
        internals.signals.catalog_changed()
    return bool(found)
