"""Where a record of the source is in Kafka, by the headers that the mirror gave it."""

from __future__ import annotations

from typing import Any

from confluent_kafka import KafkaException, TopicPartition

from eventlog.bridges.kafka.cluster import SECONDS_MAX, Cluster
from eventlog.bridges.kafka.mirror.differences import first_at_least
from eventlog.bridges.message import OFFSET_HEADER, SOURCE_HEADER
from eventlog.errors import ConnectionLostError

_FETCH_MS = 10  # how long the broker may wait for records that are not there: probes are often at the end


class Stamps:
    """Reads single records of a topic. For one thread."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._consumer = cluster.consumer({"enable.partition.eof": True, "fetch.wait.max.ms": _FETCH_MS})

    def close(self) -> None:
        """Disconnect."""
        self._consumer.close()

    def has_records(self, topic: str, partition: int, at: int) -> bool:
        """Is there a committed record from `at` on? Raises `ConnectionLostError`, `BridgeError`."""
        with self._cluster.errors("read"):
            self._consumer.assign([TopicPartition(topic, partition, at)])
            return self._poll() is not None

    def next(self, topic: str, partition: int, source: str) -> int:
        """The offset at the source behind the last record that came from there; 0 if there is none. Raises
        `ConnectionLostError`, `BridgeError`."""
        with self._cluster.errors("read what was copied"):
            low, high = self._consumer.get_watermark_offsets(TopicPartition(topic, partition), SECONDS_MAX)
            end = first_at_least(low, high, lambda at: self._stamp(topic, partition, at, source) is not None)
            last = self._stamp(topic, partition, end - 1, source) if end > low else None
            return 0 if last is None else last + 1

    def translated(self, topic: str, partition: int, source: str, offset: int) -> int:
        """The offset in Kafka of the first record that is not before this offset at the source. Raises
        `ConnectionLostError`, `BridgeError`."""

        def is_before(at: int) -> bool:
            stamp = self._stamp(topic, partition, at, source)
            return stamp is not None and stamp < offset

        with self._cluster.errors("read what was copied"):
            low, high = self._consumer.get_watermark_offsets(TopicPartition(topic, partition), SECONDS_MAX)
            return first_at_least(low, high, is_before)

    def _stamp(self, topic: str, partition: int, at: int, source: str) -> int | None:
        """The offset at the source of the next record from `at` on; None if there is no record, or one from elsewhere."""
        self._consumer.assign([TopicPartition(topic, partition, at)])
        message = self._poll()
        headers = dict(message.headers() or ()) if message is not None else {}
        return int(headers[OFFSET_HEADER]) if headers.get(SOURCE_HEADER) == source.encode() else None

    def _poll(self) -> Any:
        message = self._consumer.poll(SECONDS_MAX)
        if message is None:
            raise ConnectionLostError(f"{self._cluster.label} does not answer")
        error = message.error()
        if error is None:
            return message
        if error.name() == "_PARTITION_EOF":
            return None
        raise KafkaException(error)
