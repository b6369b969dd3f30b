"""Deleting topics while others use them."""

from __future__ import annotations

from eventlog.catalog.topics import TopicDescription
from eventlog.errors import failure_of
from eventlog.groups.cleanup import remove_topic_from_groups
from eventlog.groups.registry import Groups
from eventlog.log import Internals
from eventlog.storage.mapped.removal import remove_partition
from eventlog.storage.segments import names
from eventlog.storage.segments.lock import segments_locked


def delete_topic(groups: Groups, name: str) -> None:
    """Delete a topic: from the first step on there is no such topic, and whoever finds the rest of it goes on.

    Raises `TopicNotFoundError`."""
    groups.internals.topics.begin_deletion(name)
    groups.internals.signals.catalog_changed()
    finish_deletion(groups, name)


def finish_deletion(groups: Groups, name: str) -> bool:
    """Remove what is left of a topic that is being deleted; False if there is none of this name.

    One process at a time: another one that came late would remove what was made anew by the same name since. Raises
    `LockTimeoutError`, `EventLogError`."""
    internals = groups.internals
    if _being_deleted(internals, name) is None:
        return False
    with segments_locked(names.logs_directory(internals.path), internals.lock_timeout_ms):
        topic = _being_deleted(internals, name)
        if topic is None:
            return False
        _remove(groups, topic)
        internals.topics.end_deletion(name)
    internals.signals.catalog_changed()
    return True


def _being_deleted(internals: Internals, name: str) -> TopicDescription | None:
    return next((topic for topic in internals.topics.being_deleted() if topic.name == name), None)


def _remove(groups: Groups, topic: TopicDescription) -> None:
    for partition in range(topic.partitions):
        try:
            remove_partition(
                groups.internals.path, groups.internals.signals, topic.name, partition, groups.internals.lock_timeout_ms
            )
        except OSError as error:
            raise failure_of(f"partition {partition} of topic {topic.name!r} cannot be removed", error) from error
    remove_topic_from_groups(groups, topic.name)
