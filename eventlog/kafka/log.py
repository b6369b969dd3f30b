"""A cluster as users see it: the log that `eventlog.open("kafka://…")` returns."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from re import Pattern
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn, overload

from eventlog.bridges.refused import checked_deserializers
from eventlog.consumer.options import ConsumerOptions
from eventlog.consumer.rebalance import RebalanceListener
from eventlog.errors import InvalidArgumentError, NotSupportedError, raise_together
from eventlog.existing import created_or_found
from eventlog.kafka.address import parse_address
from eventlog.kafka.cluster import Cluster
from eventlog.kafka.consumer import KafkaConsumer
from eventlog.kafka.group import KafkaGroup, group_names
from eventlog.kafka.partition import KafkaPartition
from eventlog.kafka.producer import KafkaProducer
from eventlog.kafka.reading import Readers
from eventlog.kafka.sending import Sender, UnitAppender
from eventlog.kafka.topics import KafkaTopic, alter_topic, create_topic, delete_topic, describe_topic
from eventlog.kafka.transactional import KafkaTransactionalProducer
from eventlog.options import check_any_group_name, check_bool, check_topic_name
from eventlog.producer.serializing import Serializer, Serializers
from eventlog.records.record import TopicPartition

if TYPE_CHECKING:
    from eventlog.consumer.deserializing import Deserializer
    from eventlog.groups.group import GroupDescription
    from eventlog.storage.mapped.foreign_heads import PartitionOffsets
    from eventlog.views.activity import Activity

_CLOSE_SECONDS = 5.0  # how long a thread may take to release a consumer

# What a store in a directory offers beyond the contract.
_ELSEWHERE = {
    "abort_transaction": "'kafka-transactions abort' does it",
    "backup": "brokers have no such request; mirror the topics to another cluster, or to a directory",
    "check_offsets": "Group.reset checks",
    "collect": "a store collects from a cluster, and ships to it",
    "create_group": "a group begins with its first member, or with its first commit",
    "describe_topic": "topic(name) and partition(name, number) have settings and offsets",
    "maintain": "brokers delete and compact by themselves",
    "metrics": "brokers have metrics of their own, by JMX",
    "mirror": "a store mirrors a cluster",
    "repair": "brokers recover from their replicas",
    "serve": "it is served already",
    "ship": "a store collects from a cluster, and ships to it",
    "sizes": "'kafka-log-dirs' shows sizes",
    "start_maintenance": "brokers delete and compact by themselves",
    "transactions": "'kafka-transactions list' shows them",
}


class KafkaLog:
    """As `contract.Log`. Safe for several threads; unusable after fork(). Created by `eventlog.open("kafka://…")`.

    A request that is not answered within `socket.timeout.ms` (10 s), or an append within `message.timeout.ms` (30 s), raises
    `UnavailableError`; both are settings in the URL."""

    def __init__(self, url: str) -> None:
        self._cluster = Cluster(parse_address(url))
        self._readers = Readers(self._cluster)
        self._units = UnitAppender(self._cluster)
        self._open_sender: Sender | None = None
        self._lock = threading.Lock()
        self._clients: weakref.WeakSet[KafkaProducer | KafkaConsumer] = weakref.WeakSet()
        try:
            self._cluster.check_reachable()
        except BaseException:
            self._cluster.close()
            raise

    def __enter__(self) -> KafkaLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<log {self._cluster}>"

    def __getattr__(self, name: str) -> NoReturn:
        if name in _ELSEWHERE:
            raise NotSupportedError(f"{name} is only for a store in a directory: {_ELSEWHERE[name]}")
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    # --- topics --------------------------------------------------------------------------------------------

    def create_topic(
        self, name: str, partitions: int = 1, config: Mapping[str, object] | None = None, *, exist_ok: bool = False
    ) -> KafkaTopic:
        """As `contract.Log.create_topic`; with the brokers' default replication factor."""
        if check_bool("exist_ok", exist_ok):
            return created_or_found(lambda: self.create_topic(name, partitions, config), lambda: self.topic(name))
        return create_topic(self._cluster, name, partitions, config)

    def alter_topic(
        self, name: str, *, partitions: int | None = None, config: Mapping[str, object] | None = None
    ) -> KafkaTopic:
        """As `contract.Log.alter_topic`."""
        return alter_topic(self._cluster, check_topic_name(name), partitions, config)

    def delete_topic(self, name: str) -> None:
        """As `contract.Log.delete_topic`; groups forget their commits a moment later."""
        delete_topic(self._cluster, check_topic_name(name))

    def topic(self, name: str) -> KafkaTopic:
        """As `contract.Log.topic`."""
        return describe_topic(self._cluster, check_topic_name(name))

    def topics(self) -> list[str]:
        """As `contract.Log.topics`, without Kafka's own."""
        return self._cluster.topics()

    def partition(self, topic: str, partition: int) -> KafkaPartition:
        """As `contract.Log.partition`."""
        found = self._cluster.check_partition(topic, partition)
        return KafkaPartition(self._cluster, found, self._readers, self._units, self._sender)

    def _sender(self) -> Sender:
        """What appends single records."""
        with self._lock:
            if self._open_sender is None:
                self._open_sender = Sender(self._cluster)
            return self._open_sender

    # --- clients -------------------------------------------------------------------------------------------

    @overload
    def producer(
        self,
        *,
        transactional_id: str,
        transaction_timeout_ms: int = 60_000,
        compression: str | None = None,
        batch_bytes: int = 16_384,
        auto_create_topics: bool = True,
        value_serializer: Serializer | None = None,
        key_serializer: Serializer | None = None,
    ) -> KafkaTransactionalProducer: ...

    @overload
    def producer(
        self,
        *,
        compression: str | None = None,
        linger_ms: int = 0,
        batch_bytes: int = 16_384,
        auto_create_topics: bool = True,
        name: str | None = None,
        value_serializer: Serializer | None = None,
        key_serializer: Serializer | None = None,
    ) -> KafkaProducer: ...

    def producer(
        self,
        *,
        compression: str | None = None,
        linger_ms: int = 0,
        batch_bytes: int = 16_384,
        auto_create_topics: bool = True,
        transactional_id: str | None = None,
        transaction_timeout_ms: int = 60_000,
        name: str | None = None,
        value_serializer: Serializer | None = None,
        key_serializer: Serializer | None = None,
    ) -> KafkaProducer:
        """As `contract.Log.producer`, with the serializers of `EventLog.producer`. A `name` raises `NotSupportedError`."""
        self._cluster.check_usable()
        if name is not None:
            raise NotSupportedError(
                "a producer with a name is only for a store in a directory: Kafka forgets the numbers of a producer's records "
                "when it ends; use a transactional_id, and commit with each transaction how far you are"
            )
        has_serializers = value_serializer is not None or key_serializer is not None
        serializers = Serializers(key_serializer, value_serializer) if has_serializers else None
        common: dict[str, Any] = {
            "compression": compression, "batch_bytes": batch_bytes, "auto_create_topics": auto_create_topics,
            "serializers": serializers,
        }  # fmt: skip
        producer: KafkaProducer
        if transactional_id is not None:
            if linger_ms:
                raise InvalidArgumentError("a producer with a transactional_id has no linger_ms")
            timeout_ms = transaction_timeout_ms
            producer = KafkaTransactionalProducer(self._cluster, transactional_id, timeout_ms=timeout_ms, **common)
        else:
            producer = KafkaProducer(self._cluster, linger_ms=linger_ms, **common)
        self._clients.add(producer)
        return producer

    def consumer(
        self,
        topics: str | Sequence[str] | Pattern[str] | None = None,
        *,
        group: str | None = None,
        auto_offset_reset: str = "earliest",
        auto_commit: bool = False,
        auto_commit_interval_ms: int = 1000,
        assignor: str = "cooperative-sticky",
        instance_id: str | None = None,
        max_poll_interval_ms: int = 300_000,
        session_timeout_ms: int = 45_000,
        durable: bool = False,
        isolation: str = "read_committed",
        listener: RebalanceListener | None = None,
        value_deserializer: Deserializer | None = None,
        key_deserializer: Deserializer | None = None,
        refused: str = "stop",
    ) -> KafkaConsumer:
        """As `contract.Log.consumer`, with the deserializers of `EventLog.consumer`. Everything that is read is durable."""
        self._cluster.check_usable()
        options = ConsumerOptions(
            group=group,
            auto_offset_reset=auto_offset_reset,
            auto_commit=auto_commit,
            auto_commit_interval_ms=auto_commit_interval_ms,
            assignor=assignor,
            instance_id=instance_id,
            max_poll_interval_ms=max_poll_interval_ms,
            session_timeout_ms=session_timeout_ms,
            durable=durable,
            isolation=isolation,
            listener=listener,
        )
        options.check()
        deserializers = checked_deserializers(self, key_deserializer, value_deserializer, refused)
        consumer = KafkaConsumer(self._cluster, topics, options, deserializers)
        self._clients.add(consumer)
        return consumer

    # --- groups --------------------------------------------------------------------------------------------

    def groups(self) -> list[str]:
        """As `contract.Log.groups`."""
        return group_names(self._cluster)

    def group(self, name: str) -> KafkaGroup:
        """As `contract.Log.group`."""
        return KafkaGroup(self._cluster, check_any_group_name(name))

    def describe_groups(self) -> list[GroupDescription]:
        """`KafkaGroup.describe` of every consumer group, sorted by name."""
        from eventlog.kafka.views import describe_groups

        return describe_groups(self._cluster)

    def offsets(self, topic: str) -> list[PartitionOffsets]:
        """Where each partition of a topic starts and ends. Raises `TopicNotFoundError`."""
        from eventlog.kafka.views import partition_offsets

        return partition_offsets(self._cluster, topic)

    def activity(self, earlier: Activity | None = None) -> Activity:
        """What all topics and groups contain; with an `earlier` activity also the rates between the two. Sizes are not
        known."""
        from eventlog.kafka.views import measure_activity

        return measure_activity(self._cluster, earlier)

    def lags(self) -> dict[str, dict[TopicPartition, int | None]]:
        """`Group.lag` of every consumer group, by its name."""
        return {name: self.group(name).lag() for name in self.groups()}

    # --- the end -------------------------------------------------------------------------------------------

    def flush(self) -> None:
        """As `contract.Log.flush`: producers that linger append what they have; all else is durable already."""
        self._cluster.check_usable()
        for client in list(self._clients):
            if isinstance(client, KafkaProducer) and not client.is_closed:
                client.flush()

    def close(self) -> None:
        """As `contract.Log.close`. Raises what a producer could not append; everything is closed nevertheless."""
        if self._cluster.is_closed:
            return
        failures: list[BaseException] = []
        self._cluster.check_usable()
        closes: list[Callable[[], object]] = [each.close for each in list(self._clients) if isinstance(each, KafkaProducer)]
        closes += [self._end_consumers, self._readers.close, self._units.close, self._end_sender, self._cluster.close]
        for close in closes:
            try:
                close()
            except Exception as error:
                failures.append(error)
        raise_together(failures)

    def _end_consumers(self) -> None:
        self._cluster.is_closed = True  # which ends their waits
        for client in list(self._clients):
            if isinstance(client, KafkaConsumer):
                client.close_with_log(_CLOSE_SECONDS)

    def _end_sender(self) -> None:
        if self._open_sender is not None:
            self._open_sender.close()
