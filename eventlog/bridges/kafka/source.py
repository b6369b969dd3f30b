"""Kafka as the source of a bridge: the positions are in the topic that is collected to, so Kafka has to remember nothing."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping, Sequence
from typing import Any

from confluent_kafka import TIMESTAMP_NOT_AVAILABLE, KafkaError, KafkaException, TopicPartition

from eventlog.bridges.endpoints import SourceContext
from eventlog.bridges.kafka.cluster import SECONDS_MAX, Cluster, FoundTopic
from eventlog.bridges.message import Message, Position, without_bookkeeping
from eventlog.bridges.url import Url
from eventlog.errors import BridgeError, ConnectionLostError, InvalidArgumentError

_RESET = "auto.offset.reset"
_STARTS = ("earliest", "latest")
_GROUP = "group.id"
_CLOSE_SECONDS, _CLOSE_POLL_SECONDS = 3.0, 0.1
_REFRESH = "topic.metadata.refresh.interval.ms"  # how often it is asked whether there are more partitions
_REFRESH_MS = 10_000
_CHECK_SECONDS = 1.0  # how often it is asked whether the topic is still the same

_logger = logging.getLogger("eventlog.bridges.kafka")


def make_source(url: Url, context: SourceContext) -> KafkaSource:
    """The topic of a `kafka:` URL as a source. Raises `InvalidArgumentError`."""
    return KafkaSource(Cluster(url), context)


def source_name(topic: FoundTopic, partition: int) -> str:
    """The name of a partition as a source of positions."""
    return f"kafka:{topic.name}/{topic.id}/{partition}"


class KafkaSource:
    """Reads all partitions of a topic, what is committed of it, from where the collected topic ends.

    A partition of which nothing was collected begins at the offset that the group `group.id` of the URL has committed; without
    one at `auto.offset.reset`, "earliest" (the default) or "latest". What is collected is committed for that group, too."""

    system = "kafka"

    def __init__(self, cluster: Cluster, context: SourceContext) -> None:
        self.label = cluster.label
        self._start = cluster.settings.get(_RESET, "earliest")
        if not cluster.topic:
            raise InvalidArgumentError(f"{self.label} must name a topic: kafka://HOST:PORT/TOPIC")
        if self._start not in _STARTS:
            raise InvalidArgumentError(f"{self.label}: {_RESET} must be earliest or latest")
        self._cluster = cluster
        self._context = context
        self._has_group = _GROUP in cluster.settings
        self._consumer: Any = None
        self._admin: Any = None
        self._topic: FoundTopic | None = None
        self._names: list[str] = []
        self._next: dict[int, int] = {}
        self._ended: dict[int, int] = {}  # the partitions that had no more when they were last asked, and where they ended
        self._ask_again_at = self._check_again_at = 0.0
        self._commits_under_way = 0
        refresh_ms = int(cluster.settings.get(_REFRESH, _REFRESH_MS))
        self._refresh_seconds = refresh_ms / 1000 if refresh_ms >= 0 else math.inf  # as librdkafka means -1

    def open(self) -> None:
        """As `Source.open`."""
        self._names = []
        self._ended = {}
        self._commits_under_way = 0
        with self._cluster.errors("open"):
            self._topic = self._cluster.find(self._cluster.topic)
            # An offset that does not exist is an error, and not a reason to leave records out, or to read all of them again.
            settings = {_RESET: "error", "on_commit": self._committed, "enable.partition.eof": True}
            self._consumer = self._cluster.consumer(settings)
            self._admin = self._cluster.admin()
            self._add_partitions(self._topic.partitions)

    def _add_partitions(self, count: int) -> None:
        """Begin with the partitions up to this number."""
        assert self._topic is not None
        begun = []
        for partition in range(len(self._names), count):
            name = source_name(self._topic, partition)
            first = self._next[partition] = self._first(name, partition)
            begun.append(TopicPartition(self._topic.name, partition, first))
            self._names.append(name)
        if begun:
            self._consumer.incremental_assign(begun)
        self._ask_again_at = time.monotonic() + self._refresh_seconds

    def _first(self, name: str, partition: int) -> int:
        """The offset at which reading a partition begins."""
        asked = TopicPartition(self._cluster.topic, partition)
        low: int
        low, high = self._consumer.get_watermark_offsets(asked, SECONDS_MAX)
        position = self._context.position(name, partition)
        if position is None and self._has_group:
            found = self._consumer.committed([asked], SECONDS_MAX)[0].offset
            position = found if found >= 0 else None
        if position is None:
            return low if self._start == "earliest" else int(high)
        if position > high:
            raise BridgeError(
                f"{self.label}: partition {partition} ends at offset {high}, but everything before {position} was collected: "
                "it has lost records"
            )
        if position < low:
            _logger.warning(
                "%s: partition %d begins at %d: the records from %d on are deleted", self.label, partition, low, position
            )
        return max(position, low)

    def receive(self, timeout: float, count_max: int) -> Sequence[Message]:
        """As `Source.receive`."""
        with self._cluster.errors("receive"):
            if time.monotonic() >= self._ask_again_at:
                found = self._consumer.list_topics(self._cluster.topic, SECONDS_MAX).topics[self._cluster.topic]
                if found.error is not None:
                    raise KafkaException(found.error)
                self._add_partitions(len(found.partitions))
            messages = self._messages(self._consumer.consume(count_max, 0))
            deadline = time.monotonic() + timeout
            while not messages and (left := deadline - time.monotonic()) > 0:
                # One at first, because `consume` waits until it has as many as it may return.
                first = self._consumer.poll(left)
                if first is not None:
                    messages = self._messages([first, *self._consumer.consume(count_max - 1, 0)])
            self._check_topic()
            return messages

    def _check_topic(self) -> None:
        """What has come may be of another topic, which was created after this one was deleted."""
        assert self._topic is not None
        if time.monotonic() < self._check_again_at:
            return
        if not self._cluster.is_still(self._admin, self._topic):
            raise ConnectionLostError(f"{self.label}: the topic was deleted and created again: it is read from its start")
        self._check_again_at = time.monotonic() + _CHECK_SECONDS

    def _messages(self, received: Sequence[Any]) -> list[Message]:
        messages = []
        for each in received:
            if each.error() is not None:
                self._note_end(each)
                continue
            partition, offset = each.partition(), each.offset()
            kind, timestamp = each.timestamp()
            headers = each.headers()
            messages.append(
                Message(  # by position, which takes half of the time
                    each.value(), each.key(), without_bookkeeping(tuple(headers)) if headers else (),
                    None if kind == TIMESTAMP_NOT_AVAILABLE else timestamp,
                    None, True, False, Position(self._names[partition], offset), partition,
                )
            )  # fmt: skip
            self._next[partition] = offset + 1
            if self._ended:
                self._ended.pop(partition, None)
        return messages

    def ends(self) -> dict[int, int]:
        """The offset at which each partition ends now."""
        with self._cluster.errors("ask for offsets"):
            asked = [TopicPartition(self._cluster.topic, partition) for partition in range(len(self._names))]
            return {each.partition: self._consumer.get_watermark_offsets(each, SECONDS_MAX)[1] for each in asked}

    def has_reached(self, ends: Mapping[int, int]) -> bool:
        """Was everything received that is committed and before these offsets?"""
        return all(max(self._next[partition], self._ended.get(partition, 0)) >= end for partition, end in ends.items())

    def _note_end(self, message: Any) -> None:
        """It has no record: it says that a partition has no more, or what went wrong."""
        error = message.error()
        if error.name() == "_AUTO_OFFSET_RESET":
            raise ConnectionLostError(f"{self.label}: {error.str()}")
        if error.name() != "_PARTITION_EOF":
            raise KafkaException(error)
        self._ended[message.partition()] = message.offset()

    def acknowledge(self, messages: Sequence[Message]) -> None:
        """As `Source.acknowledge`: tells the URL's group, for those who watch it."""
        if not self._has_group:
            return
        ends = {each.partition: each.position.offset + 1 for each in messages if each.position and each.partition is not None}
        offsets = [TopicPartition(self._cluster.topic, partition, end) for partition, end in ends.items()]
        with self._cluster.errors("acknowledge"):
            self._consumer.commit(offsets=offsets, asynchronous=True)
            self._commits_under_way += 1

    def _committed(self, error: KafkaError | None, offsets: object) -> None:
        """Called by librdkafka, from within methods of the consumer. A commit that failed is made up for by the next one."""
        self._commits_under_way -= 1

    def refuse(self, message: Message, reason: str) -> None:
        """As `Source.refuse`: there is no way."""
        where = f"partition {message.partition}, offset {message.position.offset if message.position else '?'}"
        raise BridgeError(
            f"{self.label}: {where} does not go into topic {self._context.topic!r}: {reason}; change the topic's settings"
        )

    def depth(self) -> int | None:
        """As `Source.depth`, from what the last answers said."""
        if self._consumer is None:
            return None
        waiting = 0
        for each in self._consumer.assignment():
            _, high = self._consumer.get_watermark_offsets(each, cached=True)
            if high < 0:
                return None
            waiting += max(0, high - max(self._next[each.partition], self._ended.get(each.partition, 0)))
        return waiting

    def close(self) -> None:
        """As `Source.close`."""
        consumer, self._consumer, self._admin = self._consumer, None, None
        if consumer is None:
            return
        deadline = time.monotonic() + _CLOSE_SECONDS
        while self._commits_under_way > 0 and time.monotonic() < deadline:
            consumer.poll(_CLOSE_POLL_SECONDS)  # what it returns is given again
        consumer.close()
