"""The topics of the store for clients: by name and by id, from the newest version of the catalog."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from concurrent.futures import Executor
from pathlib import Path
from typing import NamedTuple

from eventlog.catalog.topics import TopicDescription
from eventlog.serve.kept_catalog import KeptCatalog
from eventlog.store.store import Store

_UUID_BYTES = 16
_RESERVED_IDS = {bytes(_UUID_BYTES), (1).to_bytes(_UUID_BYTES, "big")}  # "no topic", and the topic of Kafka's own metadata


class Topic(NamedTuple):
    """A topic's name, its id for Kafka's clients, and its number of partitions."""

    name: str
    id: bytes
    partitions: int


def topic_id(topic: TopicDescription) -> bytes:
    """The id of a topic. A topic that is created after another of the same name was deleted gets a different one."""
    told_apart = f"{topic.name} {topic.created_ms} {topic.made_by(0)}"
    found = hashlib.sha256(told_apart.encode()).digest()[:_UUID_BYTES]
    return found if found not in _RESERVED_IDS else hashlib.sha256(found).digest()[:_UUID_BYTES]


def cluster_id(store: Path) -> str:
    """An id for the store, which stays the same unless the store is moved to another file system."""
    status = store.stat()
    return hashlib.sha256(f"{status.st_dev} {status.st_ino}".encode()).hexdigest()[:22]


class TopicCache(KeptCatalog[list[Topic]]):
    """All topics."""

    def __init__(self, store: Store, executor: Executor, changed: Callable[[], None]) -> None:
        """`changed` is called whenever the topics have been loaded again."""
        super().__init__(store, executor)
        self._changed = changed
        self.by_name: dict[str, Topic] = {}
        self.by_id: dict[bytes, Topic] = {}

    def load(self) -> list[Topic]:
        return [Topic(each.name, topic_id(each), each.partitions) for each in self._store.catalog.topics.all()]

    def take(self, loaded: list[Topic]) -> None:
        self.by_name = {topic.name: topic for topic in loaded}
        self.by_id = {topic.id: topic for topic in loaded}
        self._changed()
