"""Where a store keeps its files, written down a second time, and ways to bring a store into a wanted state."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import eventlog
from eventlog import EventLog, Record

TOPIC = "events"


def partition_directory(store: Path, partition: int = 0, topic: str = TOPIC) -> Path:
    return store / "logs" / f"{topic}-{partition}"


def head_file(store: Path, partition: int = 0, topic: str = TOPIC) -> Path:
    return store / "shared" / f"{topic}-{partition}.head"


def removed_directory(store: Path, partition: int = 0, topic: str = TOPIC) -> Path:
    return store / "removed" / f"{topic}-{partition}"


def segments(store: Path, partition: int = 0, topic: str = TOPIC) -> list[Path]:
    """The .log files of a partition, oldest first."""
    return sorted(partition_directory(store, partition, topic).glob("*.log"))


def create(store: Path, partitions: int = 1, **config: Any) -> None:
    """Make a store with the topic `events`; settings with underscores for dots: segment_bytes=4096."""
    with eventlog.open(store) as log:
        log.create_topic(TOPIC, partitions, {name.replace("_", "."): value for name, value in config.items()})


def open_partition(log: EventLog, partition: int = 0) -> eventlog.Partition:
    return log.partition(TOPIC, partition)


def everything(partition: eventlog.Partition) -> list[Record]:
    """All records, by the plainest way to read."""
    records: list[Record] = []
    offset = partition.start_offset
    while found := partition.read(offset, max_records=1000):
        records.extend(found)
        offset = found[-1].offset + 1
    return records
