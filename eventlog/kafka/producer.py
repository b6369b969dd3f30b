"""The producer of a cluster, and its receipts."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from eventlog.clock import Time
from eventlog.errors import (
    InvalidArgumentError,
    InvalidTypeError,
    PartitionNotFoundError,
    StoreClosedError,
    TopicExistsError,
    TopicNotFoundError,
    raise_together,
)
from eventlog.kafka.acknowledgements import AckReporter, is_acked, wait_acked
from eventlog.kafka.checks import check_bytes, check_headers, check_timestamp
from eventlog.kafka.cluster import Cluster
from eventlog.kafka.sending import Delivery, NewRecord, Sender
from eventlog.kafka.topics import create_topic
from eventlog.options import (
    check_bool,
    check_group_name,
    check_number,
    check_partition_number,
    check_timeout,
    check_topic_name,
)
from eventlog.producer.acks import Ack
from eventlog.records.partitioning import partition_for_key
from eventlog.records.record import TopicPartition

if TYPE_CHECKING:
    from eventlog.producer.serializing import Serializers
    from eventlog.records.batch import Headers

_Producer = TypeVar("_Producer", bound="KafkaProducer")

_CODECS = ("gzip", "snappy", "lz4", "zstd")
_KNOWN_SECONDS = 30.0  # more partitions, or a new topic of an old name, are noticed so soon


class KafkaReceipt:
    """As `contract.Receipt`. Created by `KafkaProducer.send`."""

    __slots__ = ("_cluster", "_delivery", "_partition", "_sender")

    def __init__(self, cluster: Cluster, sender: Sender, partition: TopicPartition, delivery: Delivery) -> None:
        self._cluster = cluster
        self._sender = sender
        self._partition = partition
        self._delivery = delivery

    def __repr__(self) -> str:
        where = self._delivery.offset if self._delivery.offset is not None else "not appended yet"
        return f"<receipt: {self._partition} {where}>"

    @property
    def topic(self) -> str:
        """As `contract.Receipt.topic`."""
        return self._partition.topic

    @property
    def partition(self) -> int:
        """As `contract.Receipt.partition`."""
        return self._partition.partition

    @property
    def is_resolved(self) -> bool:
        """As `contract.Receipt.is_resolved`."""
        return self._delivery.offset is not None

    @property
    def offset(self) -> int:
        """As `contract.Receipt.offset`."""
        return self._sender.settle(self._partition, self._delivery)

    @property
    def timestamp(self) -> int:
        """As `contract.Receipt.timestamp`."""
        self._sender.settle(self._partition, self._delivery)
        return self._delivery.timestamp

    def is_acked(self, group: str) -> bool:
        """As `contract.Receipt.is_acked`."""
        return is_acked(self._cluster, check_group_name(group), self._partition, self.offset)

    def wait_acked(self, group: str, timeout: float | None = None) -> bool:
        """As `contract.Receipt.wait_acked`; the cluster is asked again and again, five times a second if it takes long."""
        check_timeout(timeout)
        return wait_acked(self._cluster, check_group_name(group), self._partition, self.offset, timeout)


class _Topic:
    """What a producer knows of a topic: how many partitions it had at a time, and which one has its turn."""

    def __init__(self, partitions: int) -> None:
        self.partitions = partitions
        self.known_at = time.monotonic()
        self._turn = 0
        self._turn_bytes = 0

    def next_partition(self, size_bytes: int, batch_bytes: int) -> int:
        """The partition of a record without a key: the same one until it has a batch."""
        self._turn_bytes += size_bytes
        if self._turn_bytes >= batch_bytes:
            self._turn, self._turn_bytes = self._turn + 1, size_bytes
        return self._turn % self.partitions


class KafkaProducer:
    """As `contract.Producer`. Safe for several threads. Created by `KafkaLog.producer`.

    A send without `linger_ms` waits for the acknowledgement of all replicas that are in sync, at most `message.timeout.ms`
    (30 s), and then raises `UnavailableError`."""

    def __init__(
        self, cluster: Cluster, *, compression: str | None, linger_ms: int, batch_bytes: int, auto_create_topics: bool,
        serializers: Serializers | None = None, settings: Mapping[str, object] | None = None,
    ) -> None:  # fmt: skip
        if serializers is not None:
            serializers.check()
        if compression is not None and compression not in _CODECS:
            raise InvalidArgumentError(f"compression is {compression!r}, but must be one of {', '.join(_CODECS)}, or None")
        check_number("linger_ms", linger_ms, 0, 2**31 - 1)
        self._batch_bytes = check_number("batch_bytes", batch_bytes, 1, 2**31 - 1)
        self._creates = check_bool("auto_create_topics", auto_create_topics)
        self._serializers = serializers
        self._cluster = cluster
        self._linger_ms = linger_ms
        self._acks = AckReporter(cluster)
        self._sender = Sender(cluster, linger_ms, batch_bytes, compression, self._acks.note, settings)
        self._topics: dict[str, _Topic] = {}
        self._lock = threading.Lock()
        self.is_closed = False

    def __enter__(self: _Producer) -> _Producer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<producer of {self._cluster}>"

    def _check_usable(self) -> None:
        self._cluster.check_usable()
        if self.is_closed:
            raise StoreClosedError(f"{self!r} is closed")

    def send(
        self,
        topic: str,
        value: Any,
        key: Any = None,
        headers: Headers | None = None,
        partition: int | None = None,
        timestamp: Time | None = None,
    ) -> KafkaReceipt:
        """As `contract.Producer.send`, or with any value and key that the serializers take. Raises `UnavailableError`, and
        `SerializationError`."""
        self._check_usable()
        check_topic_name(topic)
        if self._serializers is not None:
            value, key = self._serializers.apply(topic, value, key)
        check_bytes("a value", value)
        record = NewRecord(value, check_bytes("a key", key), check_headers(headers), check_timestamp(timestamp))
        if partition is not None:
            check_partition_number(partition)
        chosen = TopicPartition(topic, self._choose(topic, record, partition))
        delivery = self._sender.send(chosen, record)
        if not self._linger_ms:
            self._sender.settle(chosen, delivery)
        return KafkaReceipt(self._cluster, self._sender, chosen, delivery)

    def _choose(self, topic: str, record: NewRecord, partition: int | None) -> int:
        known = self._topics.get(topic)
        is_recent = known is not None and time.monotonic() - known.known_at < _KNOWN_SECONDS
        if known is None or not is_recent or (partition is not None and partition >= known.partitions):
            known = self._ask(topic)
        if partition is not None:
            if partition not in range(known.partitions):
                raise PartitionNotFoundError(
                    f"{topic} has {known.partitions} partitions, numbered from 0: there is no {partition}"
                )
            return partition
        if record.key is not None:
            return partition_for_key(record.key, known.partitions)
        size_bytes = len(record.value or b"") if self._linger_ms else self._batch_bytes
        return known.next_partition(size_bytes, self._batch_bytes)

    def _ask(self, topic: str) -> _Topic:
        """What the cluster says of a topic, which is created if there is none."""
        with self._lock:
            known = self._topics.pop(topic, None)
            try:
                count = self._cluster.partition_count(topic)
            except TopicNotFoundError:
                if not self._creates:
                    raise
                with suppress(TopicExistsError):  # another producer was faster
                    create_topic(self._cluster, topic, 1, None)
                count = self._cluster.partition_count(topic)
            if known is None or known.partitions != count:
                known = _Topic(count)
            known.known_at = time.monotonic()
            self._topics[topic] = known
            return known

    def on_ack(self, group: str, callback: Callable[[Ack], object]) -> None:
        """As `contract.Producer.on_ack`; the cluster is asked ten times a second while something is not acknowledged."""
        self._check_usable()
        if not callable(callback):
            raise InvalidTypeError(f"callback must be a function, not {type(callback).__name__}")
        check_group_name(group)
        with self._lock:
            self._acks.subscribe(group, callback)
            if not self._acks.is_alive():
                self._acks.start()

    def flush(self) -> None:
        """As `contract.Producer.flush`. Raises `UnavailableError` if brokers do not acknowledge in time: it may be repeated."""
        self._check_usable()
        self._sender.flush()
        raise_together(self._acks.take_failures())

    def close(self) -> None:
        """As `contract.Producer.close`: append what lingers. Raises what `flush` raises; what could not be appended is given
        up."""
        if self.is_closed:
            return
        failures: list[BaseException] = []
        is_usable = not self._cluster.is_closed
        self.is_closed = True
        try:
            if is_usable:
                self._cluster.check_usable()
                self._sender.flush()
        except Exception as error:
            failures.append(error)
        self._acks.stop()
        self._sender.close()
        raise_together([*failures, *self._acks.take_failures()])
