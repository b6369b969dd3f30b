"""What a reader gets: a record and its position."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from eventlog.errors import InvalidTypeError


class TopicPartition(NamedTuple):
    """A partition of a topic."""

    topic: str
    partition: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}"


def as_topic_partition(value: object) -> TopicPartition:
    """A topic partition, or a pair that stands for one. Raises `InvalidTypeError`."""
    if isinstance(value, tuple) and len(value) == 2 and isinstance(value[0], str) and type(value[1]) is int:
        return value if type(value) is TopicPartition else TopicPartition(*value)
    raise InvalidTypeError(f"a partition must be a TopicPartition(topic, number), not {value!r}")


def as_topic_partitions(value: object) -> list[TopicPartition]:
    """Topic partitions from any iterable of them. Raises `InvalidTypeError`."""
    if isinstance(value, str | bytes) or not isinstance(value, Iterable):
        raise InvalidTypeError(f"partitions must be a list of TopicPartition, not {type(value).__name__}")
    return [as_topic_partition(partition) for partition in value]


class Record(NamedTuple):
    """One event. `timestamp` is in milliseconds since the epoch; `key` and `value` are None where the record has
    a null there; `headers` are pairs of name and value, in order, names may repeat."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]
