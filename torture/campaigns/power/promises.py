"""What a program was promised about a store, kept beside it: what a crash may not take away, and what may be there at all.

A program notes what it is about to do, and then what the call has promised by returning. Between the two notes both the old
and the new state are right.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from eventlog import EventLog, Partition, TopicPartition
from tests.support import made_batches

_TRANSACTIONAL = 0x10  # attribute of a batch


class Content(NamedTuple):
    """What of a record is compared."""

    key: bytes | None
    value: bytes | None


@dataclass
class PromisedLog:
    """A partition: its records by offset, where it may end, and before which offset everything is on disk.

    It may start anywhere from `start_min` to `start_max`. The offsets that are `lost` were damaged on purpose."""

    contents: dict[int, Content] = field(default_factory=dict)
    ends: set[int] = field(default_factory=lambda: {0})
    durable: int = 0
    start_min: int = 0
    start_max: int = 0
    lost: set[int] = field(default_factory=set)
    markers: set[int] = field(default_factory=set)
    may_be_damaged: bool = False

    def expected(self, start: int, end: int, *, is_compacted: bool) -> set[int]:
        """The offsets whose records have to be there if it starts and ends like this."""
        offsets: set[int] = set(range(start, end))
        if is_compacted:
            offsets &= set({content.key: offset for offset, content in self.contents.items() if offset < end}.values())
        return offsets - self.lost - self.markers


@dataclass
class PromisedTopic:
    """A topic: whether it has to be there, whether it may, its settings, and its partitions."""

    configs: list[dict[str, object]]
    partitions: list[int]
    must_exist: bool = False
    may_exist: bool = True
    is_compacted: bool = False
    logs: dict[int, PromisedLog] = field(default_factory=dict)

    def log(self, number: int) -> PromisedLog:
        """One of its partitions."""
        return self.logs.setdefault(number, PromisedLog())


@dataclass
class Backup:
    """A backup, and what was on disk when it was begun: it has at least that, once it is complete."""

    durable: dict[tuple[str, int], int]
    is_complete: bool = False


@dataclass
class Promises:
    """All that holds at one moment. Each method is a note: its name says what is about to happen, or has happened."""

    topics: dict[str, PromisedTopic] = field(default_factory=dict)
    committed: dict[tuple[str, TopicPartition], tuple[int, int]] = field(default_factory=dict)  # at least, at most
    backups: dict[str, Backup] = field(default_factory=dict)

    def creating(self, topic: str, partitions: int, config: Mapping[str, object]) -> None:
        """A topic is about to be there, empty."""
        is_compacted = config.get("cleanup.policy") == "compact"
        self.topics[topic] = PromisedTopic([dict(config)], [partitions], is_compacted=is_compacted)

    def created(self, topic: str) -> None:
        """The topic is there."""
        self.topics[topic].must_exist = True

    def altering(self, topic: str, partitions: int, config: Mapping[str, object]) -> None:
        """The topic is about to have so many partitions, and these settings besides its own."""
        found = self.topics[topic]
        found.configs.append({**found.configs[-1], **config})
        found.partitions.append(partitions)

    def altered(self, topic: str) -> None:
        """It has them."""
        found = self.topics[topic]
        del found.configs[:-1], found.partitions[:-1]

    def deleting(self, topic: str) -> None:
        """The topic is about to go."""
        self.topics[topic].must_exist = False

    def deleted(self, topic: str) -> None:
        """There is no such topic."""
        self.topics[topic].may_exist = False

    def appending(self, topic: str, number: int, offset: int, contents: Sequence[Content]) -> None:
        """One unit is about to be appended at an offset."""
        log = self.topics[topic].log(number)
        log.contents.update(enumerate(contents, offset))
        log.ends.add(offset + len(contents))

    def marking(self, topic: str, number: int, offset: int) -> None:
        """A transaction is about to be ended by a marker at this offset."""
        log = self.topics[topic].log(number)
        log.markers.add(offset)
        log.ends.add(offset + 1)

    def durable(self, topic: str, number: int, offset: int) -> None:
        """Everything before an offset is on disk."""
        log = self.topics[topic].log(number)
        log.durable = max(log.durable, offset)

    def found(self, topic: str, number: int, end: int) -> None:
        """Recovery found the log to end there: this is its end now, on disk."""
        log = self.topics[topic].log(number)
        log.contents = {offset: content for offset, content in log.contents.items() if offset < end}
        log.ends = {each for each in log.ends if each <= end}
        log.markers = {offset for offset in log.markers if offset < end}
        log.durable = end

    def deleting_records(self, topic: str, number: int, before: int) -> None:
        """The records before an offset are about to go."""
        log = self.topics[topic].log(number)
        log.start_max = max(log.start_max, before)

    def deleted_records(self, topic: str, number: int, before: int) -> None:
        """They are gone."""
        log = self.topics[topic].log(number)
        log.start_min = max(log.start_min, before)

    def committing(self, group: str, partition: TopicPartition, offset: int) -> None:
        """A group is about to commit an offset."""
        least, most = self.committed.get((group, partition), (-1, -1))
        self.committed[group, partition] = least, max(most, offset)

    def committed_durably(self, group: str, partition: TopicPartition, offset: int) -> None:
        """The commit is on disk."""
        self.committed[group, partition] = offset, self.committed[group, partition][1]

    def backing_up(self, name: str) -> None:
        """A backup is about to be taken."""
        logs = {(topic, number): log for topic, found in self.topics.items() for number, log in found.logs.items()}
        self.backups[name] = Backup({place: log.durable for place, log in logs.items()})

    def backed_up(self, name: str) -> None:
        """It is complete."""
        self.backups[name].is_complete = True

    def damaging(self, topic: str, number: int, offsets: set[int]) -> None:
        """Records are about to be damaged on disk."""
        log = self.topics[topic].log(number)
        log.lost |= offsets
        log.may_be_damaged = True

    def repaired(self, topic: str, number: int, end: int) -> None:
        """The partition was repaired, and the next record gets this offset."""
        log = self.topics[topic].log(number)
        log.may_be_damaged = False
        log.ends.add(end)


Note = tuple[str, tuple[Any, ...]]


def after(notes: Sequence[Note], before: Promises | None = None) -> Promises:
    """What was promised once all this had been noted."""
    promises = copy.deepcopy(before) if before is not None else Promises()
    for name, arguments in notes:
        getattr(promises, name)(*arguments)
    return promises


class Journal:
    """Does what a program does to a store, and notes it. `note` is called before and after each call."""

    def __init__(self, note: Callable[[Note], None]) -> None:
        self._note = note

    def note(self, name: str, *arguments: Any) -> None:
        """Note something by the name of a method of `Promises`."""
        self._note((name, arguments))

    def create_topic(self, log: EventLog, topic: str, partitions: int, config: Mapping[str, object]) -> None:
        """Create a topic."""
        self.note("creating", topic, partitions, config)
        log.create_topic(topic, partitions, config)
        self.note("created", topic)

    def alter_topic(self, log: EventLog, topic: str, partitions: int, config: Mapping[str, object]) -> None:
        """Alter a topic."""
        self.note("altering", topic, partitions, config)
        log.alter_topic(topic, partitions=partitions, config=config)
        self.note("altered", topic)

    def delete_topic(self, log: EventLog, topic: str) -> None:
        """Delete a topic."""
        self.note("deleting", topic)
        log.delete_topic(topic)
        self.note("deleted", topic)

    def append(self, partition: Partition, contents: Sequence[Content]) -> None:
        """Append one unit; nobody else appends meanwhile."""
        place = partition.topic, partition.partition
        self.note("appending", *place, partition.end_offset, contents)
        partition.append_many([content.value for content in contents], keys=[content.key for content in contents])
        self.note("durable", *place, partition.durable_offset)

    def append_as(
        self, partition: Partition, producer: int, sequence: int, contents: Sequence[Content], *, is_transactional: bool
    ) -> None:
        """Append a batch of a producer with this id, whose first record has this sequence number."""
        place = partition.topic, partition.partition
        self.note("appending", *place, partition.end_offset, contents)
        records = [made_batches.Made(content.value, content.key) for content in contents]
        attributes = _TRANSACTIONAL if is_transactional else 0
        partition.log.append(
            made_batches.batch(
                records, producer_id=producer, producer_epoch=0, base_sequence=sequence, attributes=attributes
            )
        )  # fmt: skip
        self.note("durable", *place, partition.durable_offset)

    def end_transaction(self, partition: Partition, producer: int, *, commit: bool) -> None:
        """Write the marker that ends the producer's transaction."""
        place = partition.topic, partition.partition
        self.note("marking", *place, partition.end_offset)
        partition.log.append_marker(producer, 0, 0, commit=commit)
        self.note("durable", *place, partition.durable_offset)

    def flush(self, partition: Partition) -> None:
        """Bring everything in a partition to the disk."""
        partition.flush()
        self.note("durable", partition.topic, partition.partition, partition.durable_offset)

    def delete_records(self, partition: Partition, before: int) -> None:
        """Delete the records before an offset."""
        place = partition.topic, partition.partition
        self.note("deleting_records", *place, before)
        partition.delete_records(before)
        self.note("deleted_records", *place, before)
        self.note("durable", *place, partition.durable_offset)
