"""A Kafka cluster by its URL: the settings of librdkafka, clients that are made with them, and what becomes of its errors."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from copy import copy
from types import TracebackType
from typing import Any, NamedTuple

import confluent_kafka
from confluent_kafka import ConsumerGroupTopicPartitions, KafkaError, KafkaException, TopicCollection
from confluent_kafka import TopicPartition as KafkaPartition
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ConfigSource,
    NewPartitions,
    NewTopic,
    ResourceType,
)

from eventlog.bridges.url import Url
from eventlog.errors import BridgeError, ConnectionLostError, EventLogError, InvalidArgumentError
from eventlog.records.record import TopicPartition

SECONDS_MAX = 10.0
PORT = 9092

_ATTEMPT_SECONDS = 1.0
_SET = AlterConfigOpType.SET
_OF_THE_TOPIC = ConfigSource.DYNAMIC_TOPIC_CONFIG.value
_MESSAGE_BYTES_MAX = 1_048_588  # Kafka's default of max.message.bytes
_OURS = frozenset(
    (
        "bootstrap.servers", "delivery.report.only.error", "enable.auto.commit", "enable.auto.offset.store",
        "enable.idempotence", "isolation.level", "metadata.broker.list", "transactional.id",
    )
)  # fmt: skip
_SECRETS = ("password", "pem", "secret", "jaas")
_FINAL = frozenset(
    (
        "_AUTHENTICATION", "SASL_AUTHENTICATION_FAILED", "UNSUPPORTED_SASL_MECHANISM",
        "TOPIC_AUTHORIZATION_FAILED", "GROUP_AUTHORIZATION_FAILED",
        "CLUSTER_AUTHORIZATION_FAILED", "TRANSACTIONAL_ID_AUTHORIZATION_FAILED",
        "UNKNOWN_TOPIC_OR_PART", "_UNKNOWN_TOPIC", "_UNKNOWN_PARTITION", "UNKNOWN_MEMBER_ID", "NON_EMPTY_GROUP",
        "INVALID_CONFIG", "INVALID_PARTITIONS", "INVALID_REPLICATION_FACTOR",
        "TOPIC_EXCEPTION", "_INVALID_ARG", "_UNSUPPORTED_FEATURE", "UNSUPPORTED_VERSION",
    )
)  # fmt: skip
_UNREACHABLE = frozenset(
    ("_AUTHENTICATION", "SASL_AUTHENTICATION_FAILED", "_ALL_BROKERS_DOWN", "_RESOLVE")
)
FENCED = frozenset(("_FENCED", "INVALID_PRODUCER_EPOCH", "PRODUCER_FENCED"))

_logger = logging.getLogger("eventlog.bridges.kafka")
_logger.addHandler(logging.NullHandler())  # librdkafka's own words are for those who ask for them


class FoundTopic(NamedTuple):
    """A topic of Kafka's. `id` is that of no other topic, also if this one is deleted and created again; only very old brokers
    have none, so it is made of the cluster's and the name. `settings` are all of its settings, `given` are the names of those
    that are the topic's own."""

    name: str
    id: str
    partitions: int
    settings: Mapping[str, str | None]
    given: frozenset[str] = frozenset()

    @property
    def message_bytes_max(self) -> int:
        """The largest batch that the topic takes."""
        return int(self.settings.get("max.message.bytes") or _MESSAGE_BYTES_MAX)


class Cluster:
    """A cluster. `label` is its URL without secrets, `topic` the one that it names or "", `settings` those of librdkafka."""

    def __init__(self, url: Url) -> None:
        """The query has settings of librdkafka. Raises `InvalidArgumentError`."""
        self.label = str(url)
        self.topic = url.path.strip("/")
        taken = sorted(_OURS & set(url.options))
        if taken:
            raise InvalidArgumentError(f"{self.label}: {taken[0]} cannot be set, because what is promised depends on it")
        if not url.hosts or "/" in self.topic:
            raise InvalidArgumentError(f"{self.label} must be like kafka://HOST:PORT[,HOST:PORT...]/TOPIC")
        hosts = [f"[{host}]" if ":" in host else host for host, _ in url.hosts]
        ports = [PORT if port is None else port for _, port in url.hosts]
        servers = ",".join(f"{host}:{port}" for host, port in zip(hosts, ports, strict=True))
        self.settings: dict[str, Any] = {"bootstrap.servers": servers, "log.connection.close": False}
        if url.user is not None:
            login = {"security.protocol": "SASL_SSL", "sasl.mechanism": "PLAIN", "sasl.username": url.user}
            self.settings.update(login)
        if url.password is not None:
            self.settings["sasl.password"] = url.password
        self.settings.update(url.options)
        self._unreachable: KafkaError | None = None
        self.consumer({}).close()  # says which setting is wrong

    def with_topic(self, topic: str) -> Cluster:
        """The same cluster, with another topic in its URL."""
        other = copy(self)
        other.topic = topic
        other.label = f"{self.label.partition('?')[0].rstrip('/')}/{topic}"
        return other

    # --- clients -----------------------------------------------------------------------------------------------

    def producer(self, settings: Mapping[str, object]) -> Any:
        """A producer. These settings go before those of the URL. Raises `InvalidArgumentError`."""
        return self._make(confluent_kafka.Producer, settings)

    def consumer(self, settings: Mapping[str, object]) -> Any:
        """A consumer of what is committed, which itself commits only when told. Raises `InvalidArgumentError`."""
        group = self.settings.get("group.id", "eventlog")
        ours = {"enable.auto.commit": False, "enable.auto.offset.store": False, "isolation.level": "read_committed"}
        return self._make(confluent_kafka.Consumer, {"group.id": group, **ours, **settings})

    def admin(self) -> Any:
        """A client for topics, settings and groups. Raises `InvalidArgumentError`."""
        return self._make(AdminClient, {})

    def _make(self, kind: Any, settings: Mapping[str, object]) -> Any:
        try:
            return kind({**self.settings, "error_cb": self._heard, **settings}, logger=_logger)
        except (KafkaException, ValueError, TypeError) as error:
            found = error.args[0] if error.args else error
            text = found.str() if isinstance(found, KafkaError) else str(found)
            raise InvalidArgumentError(f"{self.label}: {self._without_secrets(text)}") from None

    def _heard(self, error: KafkaError) -> None:
        """Called by librdkafka, from within methods of the clients, with errors of connections: it tries again for ever."""
        if self._unreachable is None and (error.name() in _UNREACHABLE or _is_of_certificate(error)):
            self._unreachable = error

    # --- topics ------------------------------------------------------------------------------------------------

    def find(self, topic: str) -> FoundTopic:
        """A topic. Raises `BridgeError` if it does not exist, or what `errors` raises."""
        with self.errors("find"):
            admin = self.admin()
            described = self._described(admin, topic)
            resource = ConfigResource(ResourceType.TOPIC, topic)
            settings: dict[str, str | None] = {}
            given = []
            try:
                entries = admin.describe_configs([resource], request_timeout=SECONDS_MAX)[resource].result()
                settings = {name: entry.value for name, entry in entries.items()}
                given = [name for name, entry in entries.items() if entry.source == _OF_THE_TOPIC]
            except KafkaException as error:
                if error.args[0].name() not in _FINAL:
                    raise
                _logger.info("%s: the settings of topic %s may not be read: Kafka's defaults are assumed", self.label, topic)
            topic_id = _id_of(described) or f"{admin.list_topics(timeout=SECONDS_MAX).cluster_id}/{topic}"
            return FoundTopic(topic, topic_id, len(described.partitions), settings, frozenset(given))

    def is_still(self, admin: Any, topic: FoundTopic) -> bool:
        """Is this still the topic of its name, and not one that was created since? Raises `KafkaException`."""
        asked = TopicCollection([topic.name])
        found = _id_of(admin.describe_topics(asked, request_timeout=SECONDS_MAX)[topic.name].result())
        return found is None or found == topic.id

    def create(self, topic: str, partitions: int = -1, settings: Mapping[str, str] | None = None) -> None:
        """Create a topic, unless it exists; -1 partitions are the broker's default. Raises what `errors` raises."""
        with self.errors("create"):
            admin = self.admin()
            self._answer(admin, lambda seconds: admin.list_topics(timeout=seconds))
            wanted = NewTopic(topic, partitions, config=dict(settings or {}))
            try:
                admin.create_topics([wanted], request_timeout=SECONDS_MAX)[topic].result()
            except KafkaException as error:
                if error.args[0].name() != "TOPIC_ALREADY_EXISTS":
                    raise

    def topics(self) -> list[str]:
        """The names of all topics that are not the cluster's own. Raises what `errors` raises."""
        with self.errors("list topics"):
            admin = self.admin()
            found = self._answer(admin, lambda seconds: admin.list_topics(timeout=seconds))
            return sorted(name for name in found.topics if not name.startswith("__"))

    def _described(self, admin: Any, topic: str) -> Any:
        return self._answer(
            admin, lambda seconds: admin.describe_topics(TopicCollection([topic]), request_timeout=seconds)[topic].result()
        )

    def _answer(self, client: Any, ask: Callable[[float], Any]) -> Any:
        """What the cluster answers: asks, with a time limit, until it does, or cannot be reached, or refuses this client."""
        deadline = time.monotonic() + SECONDS_MAX
        self._unreachable = None
        while True:
            try:
                return ask(_ATTEMPT_SECONDS)
            except KafkaException as error:
                client.poll(0)
                if self._unreachable is not None:
                    raise KafkaException(self._unreachable) from None
                if error.args[0].name() in _FINAL or time.monotonic() > deadline:
                    raise

    def alter(self, topic: str, partitions: int | None, settings: Mapping[str, str]) -> None:
        """Give a topic more partitions, and other values for these settings. Raises what `errors` raises."""
        admin = self.admin()
        with self.errors("alter"):
            if partitions is not None:
                admin.create_partitions([NewPartitions(topic, partitions)], request_timeout=SECONDS_MAX)[topic].result()
            if settings:
                changes = [ConfigEntry(name, value, incremental_operation=_SET) for name, value in settings.items()]
                resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=changes)
                admin.incremental_alter_configs([resource], request_timeout=SECONDS_MAX)[resource].result()

    def bounds(self, topic: FoundTopic) -> list[range]:
        """The offsets that each partition has, of what is committed. Raises what `errors` raises."""
        consumer = self.consumer({})
        try:
            with self.errors("ask for offsets"):
                asked = [KafkaPartition(topic.name, partition) for partition in range(topic.partitions)]
                return [range(*consumer.get_watermark_offsets(each, SECONDS_MAX)) for each in asked]
        finally:
            consumer.close()

    # --- groups ------------------------------------------------------------------------------------------------

    def groups(self) -> list[str]:
        """The names of all consumer groups. Raises what `errors` raises."""
        with self.errors("list groups"):
            admin = self.admin()
            found = admin.list_consumer_groups(request_timeout=SECONDS_MAX).result()
            return sorted(each.group_id for each in found.valid)

    def committed(self, group: str) -> dict[TopicPartition, int]:
        """The committed offsets of a group; none if it does not exist. Raises what `errors` raises."""
        with self.errors("ask for committed offsets"):
            admin = self.admin()
            asked = ConsumerGroupTopicPartitions(group)
            found = admin.list_consumer_group_offsets([asked], request_timeout=SECONDS_MAX)[group].result()
            offsets = ((TopicPartition(each.topic, each.partition), each.offset) for each in found.topic_partitions or ())
            return {partition: offset for partition, offset in offsets if offset >= 0}

    def commit(self, group: str, offsets: Mapping[TopicPartition, int]) -> None:
        """Set committed offsets of a group that has no members. Raises `BridgeError` if it has, and what `errors` raises."""
        with self.errors(f"commit for group {group!r}"):
            admin = self.admin()
            wanted = [KafkaPartition(*partition, offset) for partition, offset in sorted(offsets.items())]
            asked = ConsumerGroupTopicPartitions(group, wanted)
            found = admin.alter_consumer_group_offsets([asked], request_timeout=SECONDS_MAX)[group].result()
            failures = [each.error for each in found.topic_partitions if each.error is not None]
            if failures:
                raise KafkaException(failures[0])

    # --- errors ------------------------------------------------------------------------------------------------

    def errors(self, what: str) -> _Translated:
        """A block in which librdkafka's errors become ours: `ConnectionLostError`, or `BridgeError` if trying again is of no
        use. `what` says what was tried."""
        return _Translated(self, what)

    def ours(self, error: KafkaError, what: str) -> EventLogError:
        """Our error for one of librdkafka's."""
        text = f"{self.label}: {what}: {self._without_secrets(error.str() or error.name())}"
        if error.name() in FENCED:
            return ConnectionLostError(f"{text}: another bridge has taken over")
        if error.name() in ("UNKNOWN_TOPIC_OR_PART", "_UNKNOWN_TOPIC"):
            return BridgeError(f"{text}: create it first")
        return BridgeError(text) if error.name() in _FINAL or _is_of_certificate(error) else ConnectionLostError(text)

    def _without_secrets(self, text: str) -> str:
        for name, value in self.settings.items():
            if any(word in name for word in _SECRETS) and value and isinstance(value, str):
                text = text.replace(value, "***")
        return text


def _id_of(described: Any) -> str | None:
    """The id of a topic as it was described; None if the broker gives none."""
    found = described.topic_id
    has_id = found is not None and (found.get_most_significant_bits() or found.get_least_significant_bits())
    return str(found) if has_id else None


def _is_of_certificate(error: KafkaError) -> bool:
    """Is it the certificate of a broker, or of this client, that is not accepted?"""
    return error.name() == "_SSL" and "certificate" in (error.str() or "")


class _Translated:
    """The block of `Cluster.errors`."""

    def __init__(self, cluster: Cluster, what: str) -> None:
        self._cluster = cluster
        self._what = what

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, KafkaException):
            raise self._cluster.ours(error.args[0], self._what) from None
