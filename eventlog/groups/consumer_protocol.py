"""What Kafka's consumers tell each other through a classic group: their subscriptions, and what the leader assigns to them.

Source: ConsumerProtocolSubscription.json and ConsumerProtocolAssignment.json of Apache Kafka. Each begins with a version, and
later versions only add fields at the end, so what is read here is the same in all of them.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

from eventlog.records.record import TopicPartition

PROTOCOL_TYPE = "consumer"

_SHORT, _INT = struct.Struct(">h"), struct.Struct(">i")


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = _SHORT.size  # after the version

    def number(self) -> int:
        (value,) = _INT.unpack_from(self._data, self._position)
        self._position += _INT.size
        return int(value)

    def text(self) -> str:
        (size,) = _SHORT.unpack_from(self._data, self._position)
        start = self._position + _SHORT.size
        self._position = start + size
        if size < 0 or self._position > len(self._data):
            raise ValueError("a text ends behind the message")
        return self._data[start : self._position].decode()


def subscribed_topics(data: bytes) -> tuple[str, ...]:
    """The topics of a subscription; none if these bytes are not one."""
    reader = _Reader(data)
    try:
        return tuple(reader.text() for _ in range(reader.number()))
    except (struct.error, ValueError):
        return ()


def assigned_partitions(data: bytes) -> tuple[TopicPartition, ...]:
    """The partitions of an assignment, sorted; none if these bytes are not one."""
    reader, found = _Reader(data), []
    try:
        for _ in range(reader.number()):
            topic = reader.text()
            found += [TopicPartition(topic, reader.number()) for _ in range(reader.number())]
    except (struct.error, ValueError):
        return ()
    return tuple(sorted(found))


def _text(text: str) -> bytes:
    content = text.encode()
    return _SHORT.pack(len(content)) + content


def encode_subscription(topics: Iterable[str]) -> bytes:
    """A subscription to these topics, of version 0."""
    texts = [_text(topic) for topic in topics]
    return _SHORT.pack(0) + _INT.pack(len(texts)) + b"".join(texts) + _INT.pack(-1)


def encode_assignment(partitions: Iterable[TopicPartition]) -> bytes:
    """An assignment of these partitions, of version 0."""
    by_topic: dict[str, list[int]] = {}
    for topic, partition in partitions:
        by_topic.setdefault(topic, []).append(partition)
    content = b"".join(
        _text(topic) + _INT.pack(len(numbers)) + b"".join(map(_INT.pack, numbers)) for topic, numbers in by_topic.items()
    )
    return _SHORT.pack(0) + _INT.pack(len(by_topic)) + content + _INT.pack(-1)
