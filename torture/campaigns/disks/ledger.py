"""What a store has acknowledged, and whether it is there when the disk is well again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import eventlog
from eventlog import EventLog, Partition, Record, TopicPartition
from tests.support import kafka_format, stores


@dataclass
class PartitionLedger:
    """`acknowledged` are values (with their keys) by offset, `refused` those of appends that said that nothing was written,
    `doubtful` those of appends that failed otherwise. Offsets before `start_max` may have been deleted."""

    acknowledged: dict[int, tuple[bytes | None, bytes]] = field(default_factory=dict)
    refused: set[bytes] = field(default_factory=set)
    doubtful: set[bytes] = field(default_factory=set)
    start_max: int = 0
    is_compacted: bool = False

    def must_be_there(self) -> set[int]:
        """The offsets of records that nothing may have taken away."""
        offsets = {offset for offset in self.acknowledged if offset >= self.start_max}
        if self.is_compacted:
            latest = {key: offset for offset, (key, _) in sorted(self.acknowledged.items())}
            offsets &= set(latest.values())
        return offsets

    def check(self, place: str, found: dict[int, bytes | None]) -> Iterator[str]:
        """What is wrong with the values that were found, by offset."""
        lost = sorted(self.must_be_there() - found.keys())
        if lost:
            yield f"{place}: offsets {lost} were acknowledged, and are not there"
        for offset, value in found.items():
            if offset in self.acknowledged:
                if value != self.acknowledged[offset][1]:
                    yield f"{place}: offset {offset} holds something else than was acknowledged"
            elif value in self.refused:
                yield f"{place}: offset {offset} holds a value of an append that said that nothing was written"
            elif value not in self.doubtful:
                yield f"{place}: offset {offset} holds a value that nobody has appended: {value!r:.80}"


Offsets = dict[TopicPartition, int]


@dataclass
class Ledger:
    """`topics` says by name whether a topic has to be there; None: that is not known. `committed` is what groups have
    acknowledged. `groups` are the committed offsets that a group may have been left with, None where it may be gone: several
    where an operation failed, which is to have done everything or nothing. `earlier` is what was known before a
    backup was taken."""

    partitions: dict[TopicPartition, PartitionLedger] = field(default_factory=dict)
    topics: dict[str, bool | None] = field(default_factory=dict)
    committed: dict[tuple[str, TopicPartition], int] = field(default_factory=dict)
    groups: dict[str, list[Offsets | None]] = field(default_factory=dict)
    earlier: Ledger | None = None

    def of(self, topic: str, partition: int) -> PartitionLedger:
        """What is known of a partition."""
        return self.partitions.setdefault(TopicPartition(topic, partition), PartitionLedger())


def values_of(partition: Partition) -> dict[int, bytes | None]:
    """All values that a partition holds, by offset."""
    records: list[Record] = stores.everything(partition)
    return {record.offset: record.value for record in records}


def values_by_format(directory: Path) -> dict[int, bytes | None]:
    """The same of a partition that nobody has open, read by code that has nothing to do with the library."""
    batches = [batch for path in sorted(directory.glob("*.log")) for batch in kafka_format.parse_log(path)]
    return {record.offset: record.value for batch in batches for record in batch.records}


def check_store(store: Path, ledger: Ledger) -> list[str]:
    """Open a store on a disk that is well again, and say what is wrong with it; it has to take new records, too."""
    problems: list[str] = []
    with eventlog.open(store, create=not ledger.topics) as log:
        there = set(log.topics())
        for name, is_there in ledger.topics.items():
            if is_there is not None and is_there != (name in there):
                problems.append(f"topic {name!r} is {'missing' if is_there else 'there'}")
        known = {place: found for place, found in ledger.partitions.items() if place.topic in there}
        for place, partition_ledger in known.items():
            partition = log.partition(*place)
            if partition.recovery.damage is not None:
                problems.append(f"{place}: {partition.recovery.damage}")
                continue
            problems.extend(partition_ledger.check(str(place), values_of(partition)))
            value = b"on a disk that is well again"
            offset = partition.append(value, b"key")
            partition_ledger.acknowledged[offset] = b"key", value
        log.maintain()  # finishes what failed
        problems.extend(f"{report.directory}: {problem}" for report in log.verify() for problem in report.problems)
        for (group, place), offset in ledger.committed.items():
            committed = log.group(group).committed().get(place, -1)
            if committed < offset:
                problems.append(f"group {group!r} has committed {committed} of {place}, but {offset} was acknowledged")
        problems.extend(_check_groups(log, ledger))
    for place, partition_ledger in known.items():
        found = values_by_format(stores.partition_directory(store, place.partition, place.topic))
        problems.extend(partition_ledger.check(f"{place}, by its format", found))
    return problems


def _check_groups(log: EventLog, ledger: Ledger) -> Iterator[str]:
    """Each group is as one of its possibilities, and goes on from there."""
    for name, possible in ledger.groups.items():
        found = log.group(name).committed() if name in log.groups() else None
        if found not in possible:
            yield f"group {name!r} has committed {found}, which is none of {possible}"
        for place in set().union(*(offsets or {} for offsets in possible)):
            with log.consumer(place.topic, group=name) as consumer:
                while consumer.poll(0):
                    pass
                consumer.commit(sync=True)
            if (lag := log.group(name).lag()[place]) != 0:
                yield f"group {name!r} has read and committed everything in {place}, and its lag is {lag}"
