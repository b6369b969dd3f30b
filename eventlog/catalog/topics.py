"""Topics in the catalog: one entry for each topic, its name as key, JSON as value.

An entry is an intent until the heads of the partitions reflect it, too. Both carry the number of the transaction that
decided it; so a process that finds a head behind brings it up to date, however late, and never back.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import lmdb

from eventlog.catalog.changes import note_change
from eventlog.catalog.environment import CatalogEnvironment
from eventlog.catalog.values import checked, with_checksum
from eventlog.clock import now_ms
from eventlog.errors import EventLogError, InvalidArgumentError, TopicExistsError, TopicNotFoundError
from eventlog.nesting import Nested
from eventlog.options import Setting, TopicConfig

_DATABASE = b"topics"
_DELETED = b"deleted"  # topics whose files are still being removed


class TopicDescription(NamedTuple):
    """A topic: its number of partitions, the settings that were given, and when it was created (ms since the epoch).

    `had_gaps` says that compaction or repair may have removed records in the middle. `decided_by` is the number of
    the catalog's transaction that made the settings what they are. `added` has, for each time when partitions were added, the
    first of them and the number of that transaction; nothing for those that an earlier version has made. `repairs` has, by
    partition, the offsets that an unfinished repair loses."""

    name: str
    partitions: int
    config: Mapping[str, Setting]
    created_ms: int
    had_gaps: bool = False
    decided_by: int = 0
    added: tuple[tuple[int, int], ...] = ()
    repairs: Mapping[int, tuple[range, ...]] = MappingProxyType({})

    def settings(self) -> TopicConfig:
        """All settings, defaults included."""
        return TopicConfig(dict(self.config), self.had_gaps, self.decided_by)

    def made_by(self, partition: int) -> int:
        """The number of the catalog's transaction that created this partition; 0 if unknown."""
        return max((number for first, number in self.added if first <= partition), default=0)


def _encode(topic: TopicDescription) -> bytes:
    content = {
        "partitions": topic.partitions,
        "config": dict(topic.config),
        "created_ms": topic.created_ms,
        "had_gaps": topic.had_gaps,
        "decided_by": topic.decided_by,
        "added": topic.added,
        "repairs": [[partition, [[each.start, each.stop] for each in lost]] for partition, lost in topic.repairs.items()],
    }
    return with_checksum(topic.name.encode(), json.dumps(content, sort_keys=True).encode())


def _decode(name: bytes, value: bytes) -> TopicDescription:
    content = checked(name, value)
    try:
        fields = json.loads(content)
        return TopicDescription(
            name.decode(), fields["partitions"], fields["config"], fields["created_ms"], fields.get("had_gaps", False),
            fields.get("decided_by", 0), tuple((first, number) for first, number in fields.get("added", ())),
            {partition: tuple(range(*bounds) for bounds in lost) for partition, lost in fields.get("repairs", ())},
        )  # fmt: skip
    except (ValueError, KeyError, TypeError) as error:
        raise EventLogError(f"the catalog's entry for topic {name!r} is damaged: {error}") from error


def _existing(transaction: lmdb.Transaction, name: str) -> TopicDescription:
    content = transaction.get(name.encode())
    if content is None:
        raise TopicNotFoundError(f"there is no topic {name!r}")
    return _decode(name.encode(), bytes(content))


class TopicCatalog:
    """Creates, alters, deletes, finds and lists topics."""

    def __init__(self, environment: CatalogEnvironment) -> None:
        self._environment = environment

    def create(self, name: str, partitions: int, config: TopicConfig) -> TopicDescription:
        """Add a topic, durably. Raises `TopicExistsError`."""
        with self._environment.transaction(_DATABASE, write=True) as transaction:
            number = int(transaction.id())
            topic = TopicDescription(name, partitions, config.given, now_ms(), decided_by=number, added=((0, number),))
            if transaction.get(name.encode(), db=self._environment.database(_DELETED)) is not None:
                raise TopicExistsError(f"topic {name!r} is still being deleted: 'eventlog maintain' completes the deletion")
            if not transaction.put(name.encode(), _encode(topic), overwrite=False):
                raise TopicExistsError(f"topic {name!r} already exists")
            note_change(transaction, self._environment)
        return topic

    def alter(
        self, name: str, partitions: int | None, change: Callable[[Mapping[str, Setting]], dict[str, Setting]]
    ) -> TopicDescription:
        """Change a topic, durably: more partitions, and the settings that `change` makes of those that were given so far.

        Raises `TopicNotFoundError`, `InvalidArgumentError`, and what `change` raises; then nothing is changed."""
        with self._environment.transaction(_DATABASE, write=True) as transaction:
            before = _existing(transaction, name)
            if partitions is not None and partitions < before.partitions:
                raise InvalidArgumentError(
                    f"topic {name!r} has {before.partitions} partitions, and {partitions} are fewer: partitions can only be "
                    "added, because the records of the others would be lost"
                )
            given = change(before.config)
            number = int(transaction.id())
            may_have_gaps = before.settings().may_have_gaps
            after = before._replace(config=given, had_gaps=may_have_gaps, decided_by=number)
            if partitions is not None and partitions > before.partitions:
                after = after._replace(partitions=partitions, added=(*before.added, (before.partitions, number)))
            transaction.put(name.encode(), _encode(after))
            note_change(transaction, self._environment)
        return after

    def begin_deletion(self, name: str) -> None:
        """From now on the topic does not exist; the rest of it is among those being deleted. Raises `TopicNotFoundError`."""
        with self._environment.transaction(_DATABASE, write=True) as transaction:
            topic = _existing(transaction, name)
            transaction.put(name.encode(), _encode(topic), db=self._environment.database(_DELETED))
            transaction.delete(name.encode())
            note_change(transaction, self._environment)

    def being_deleted(self) -> list[TopicDescription]:
        """Topics whose files may still be there."""
        with self._environment.transaction(_DELETED) as transaction:
            return [_decode(bytes(key), bytes(content)) for key, content in transaction.cursor()]

    def end_deletion(self, name: str) -> None:
        """Nothing is left of a topic."""
        with self._environment.transaction(_DELETED, write=True) as transaction:
            transaction.delete(name.encode())
            note_change(transaction, self._environment)

    def pinned(self, name: str) -> Nested[TopicDescription]:
        """Keep a topic from being deleted for the length of a block, which must be short. Raises `TopicNotFoundError`."""
        return self._environment.transaction(_DATABASE, lambda transaction: _existing(transaction, name), write=True)

    def begin_repair(self, name: str, partition: int, lost: Sequence[range], *, has_gaps: bool) -> TopicDescription:
        """Store, durably, that a repair of a partition is in progress, which loses these offsets; with `has_gaps` the topic's
        offsets need not follow one another from now on. Raises `TopicNotFoundError`."""
        with self._environment.transaction(_DATABASE, write=True) as transaction:
            topic = _existing(transaction, name)
            topic = topic._replace(repairs={**topic.repairs, partition: tuple(lost)})
            if has_gaps:
                topic = topic._replace(had_gaps=True, decided_by=int(transaction.id()))
            transaction.put(name.encode(), _encode(topic))
            note_change(transaction, self._environment)
        return topic

    def end_repair(self, name: str, partition: int) -> None:
        """The repair of a partition is done. Raises `TopicNotFoundError`."""
        with self._environment.transaction(_DATABASE, write=True) as transaction:
            topic = _existing(transaction, name)
            others = {number: lost for number, lost in topic.repairs.items() if number != partition}
            transaction.put(name.encode(), _encode(topic._replace(repairs=others)))

    def find(self, name: str) -> TopicDescription:
        """A topic by its name. Raises `TopicNotFoundError`."""
        with self._environment.transaction(_DATABASE) as transaction:
            return _existing(transaction, name)

    def all(self) -> list[TopicDescription]:
        """All topics, sorted by name."""
        with self._environment.transaction(_DATABASE) as transaction:
            return [_decode(bytes(key), bytes(content)) for key, content in transaction.cursor()]

    def names(self) -> list[str]:
        """All names, sorted."""
        return [topic.name for topic in self.all()]


def partition_counts(transaction: lmdb.Transaction, environment: CatalogEnvironment, topics: set[str]) -> dict[str, int]:
    """The number of partitions of each of these topics that exists, as another transaction sees it."""
    counts = {}
    for name in topics:
        content = transaction.get(name.encode(), db=environment.database(_DATABASE))
        if content is not None:
            counts[name] = _decode(name.encode(), bytes(content)).partitions
    return counts
