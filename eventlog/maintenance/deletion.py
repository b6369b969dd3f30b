"""Deleting topics while others use them."""

from __future__ import annotations

from eventlog.catalog.topics import TopicDescription
from eventlog.errors import os_errors_as
from eventlog.groups.deleted_topics import remove_topic_from_groups
from eventlog.groups.registry import Groups
from eventlog.storage.mapped.removal import remove_partition
from eventlog.storage.segments import names
from eventlog.storage.segments.lock import segments_locked
from eventlog.store.store import Store


def delete_topic(groups: Groups, name: str) -> None:
    """Delete a topic. From the first step on the topic does not exist, and any process that finds the rest of it continues the
    deletion.

    Raises `TopicNotFoundError`."""
    groups.store.catalog.topics.begin_deletion(name)
    groups.store.announcer.announce()
    finish_deletion(groups, name)


def finish_deletion(groups: Groups, name: str) -> bool:
    """Remove what is left of a topic that is being deleted; False if there is none of this name.

    One process at a time: a late one would remove a new topic of the same name. Raises
    `LockTimeoutError`, `EventLogError`."""
    store = groups.store
    if _being_deleted(store, name) is None:
        return False
    with segments_locked(names.logs_directory(store.path), store.options.lock_timeout_ms):
        topic = _being_deleted(store, name)
        if topic is None:
            return False
        _remove(groups, topic)
        store.catalog.topics.end_deletion(name)
    store.announcer.announce()
    return True


def _being_deleted(store: Store, name: str) -> TopicDescription | None:
    return next((topic for topic in store.catalog.topics.being_deleted() if topic.name == name), None)


def _remove(groups: Groups, topic: TopicDescription) -> None:
    for partition in range(topic.partitions):
        with os_errors_as(f"partition {partition} of topic {topic.name!r} cannot be removed"):
            remove_partition(
                groups.store.path, groups.store.signals, topic.name, partition, groups.store.options.lock_timeout_ms
            )
    groups.store.catalog.transactions.forget_topic(topic.name)
    remove_topic_from_groups(groups, topic.name)
