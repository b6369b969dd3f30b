"""Topics in the catalog: one entry a topic, its name as key, JSON as value."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace

import lmdb

from eventlog.catalog.environment import CatalogEnvironment
from eventlog.clock import now_ms
from eventlog.errors import EventLogError, TopicExistsError, TopicNotFoundError
from eventlog.options import TopicConfig

_DATABASE = b"topics"


@dataclass(frozen=True)
class TopicDescription:
    """A topic: its number of partitions, the settings that were given, and when it was made (ms since the epoch).

    `had_gaps` says that records may have been taken out of the middle, by compaction or repair."""

    name: str
    partitions: int
    config: Mapping[str, int | str]
    created_ms: int
    had_gaps: bool = False

    def settings(self) -> TopicConfig:
        """All settings, with Kafka's defaults."""
        return TopicConfig(dict(self.config), self.had_gaps)


def _encode(topic: TopicDescription) -> bytes:
    content = {
        "partitions": topic.partitions,
        "config": dict(topic.config),
        "created_ms": topic.created_ms,
        "had_gaps": topic.had_gaps,
    }
    return json.dumps(content, sort_keys=True).encode()


def _decode(name: bytes, content: bytes) -> TopicDescription:
    try:
        fields = json.loads(content)
        return TopicDescription(
            name.decode(), fields["partitions"], fields["config"], fields["created_ms"], fields.get("had_gaps", False)
        )
    except (ValueError, KeyError, TypeError) as error:
        raise EventLogError(f"the catalog's entry for topic {name!r} is damaged: {error}") from error


class TopicCatalog:
    """Creates, finds and lists topics."""

    def __init__(self, environment: CatalogEnvironment) -> None:
        self._environment = environment

    def create(self, name: str, partitions: int, config: TopicConfig) -> TopicDescription:
        """Add a topic, durably. Raises `TopicExistsError`."""
        topic = TopicDescription(name, partitions, config.given, now_ms())
        with self._environment.transaction(_DATABASE, write=True) as transaction:
            if not transaction.put(name.encode(), _encode(topic), overwrite=False):
                raise TopicExistsError(f"topic {name!r} exists already")
        return topic

    def note_gaps(self, name: str) -> None:
        """Store, durably, that the topic's offsets need not follow one another. Raises `TopicNotFoundError`."""
        with self._environment.transaction(_DATABASE, write=True) as transaction:
            content = transaction.get(name.encode())
            if content is None:
                raise TopicNotFoundError(f"there is no topic {name!r}")
            transaction.put(name.encode(), _encode(replace(_decode(name.encode(), bytes(content)), had_gaps=True)))

    def find(self, name: str) -> TopicDescription:
        """A topic by its name. Raises `TopicNotFoundError`."""
        with self._environment.transaction(_DATABASE) as transaction:
            content = transaction.get(name.encode())
        if content is None:
            raise TopicNotFoundError(f"there is no topic {name!r}")
        return _decode(name.encode(), bytes(content))

    def names(self) -> list[str]:
        """All names, sorted."""
        with self._environment.transaction(_DATABASE) as transaction:
            return [bytes(key).decode() for key, _ in transaction.cursor()]


def partition_counts(transaction: lmdb.Transaction, environment: CatalogEnvironment, topics: set[str]) -> dict[str, int]:
    """The number of partitions of each of these topics that exists, as another transaction sees it."""
    counts = {}
    for name in topics:
        content = transaction.get(name.encode(), db=environment.database(_DATABASE))
        if content is not None:
            counts[name] = _decode(name.encode(), bytes(content)).partitions
    return counts
