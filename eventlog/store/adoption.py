"""Adoption of topics whose partition directories were put into logs/ from outside, such as those of a broker."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from eventlog.catalog.topics import TopicCatalog
from eventlog.errors import TopicExistsError
from eventlog.options import TopicConfig
from eventlog.storage.segments import names
from eventlog.storage.segments.lock import segments_locked
from eventlog.storage.segments.store import existing_partitions


def adopt_topics(store: Path, topics: TopicCatalog, lock_timeout_ms: int) -> None:
    """Add the topics in logs/ that the catalog does not have to it. Raises `LockTimeoutError`."""
    if not _unknown(store, topics):
        return
    with segments_locked(names.logs_directory(store), lock_timeout_ms):  # no process can remove a deleted topic now
        for topic, partitions in sorted(_unknown(store, topics).items()):
            with suppress(TopicExistsError):  # another process was faster
                topics.create(topic, partitions, TopicConfig({}))


def _unknown(store: Path, topics: TopicCatalog) -> dict[str, int]:
    """The topics in logs/ that the catalog does not have, with their numbers of partitions."""
    existing = existing_partitions(store)
    known = {*topics.names(), *(topic.name for topic in topics.being_deleted())} if existing else set()
    return {topic: partitions for topic, partitions in existing.items() if topic not in known}
