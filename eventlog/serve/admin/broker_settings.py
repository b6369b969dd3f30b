"""What a server tells as the settings of a broker: how it was started, and what a topic gets that does not say otherwise.

Nothing of it can be changed by clients. Source of names and types: Kafka's KafkaConfig (4.1).
"""

from __future__ import annotations

from typing import NamedTuple

from eventlog.options import GROUP_RETENTION_MS, TopicConfig
from eventlog.serve.admin.topic_settings import BOOLEAN, DESCRIPTIONS, INT, LIST, LONG, STRING, documentation
from eventlog.serve.broker import Broker, Client
from eventlog.serve.nodes import Node
from eventlog.storage.mapped.producer_page import EXPIRY_MS as PRODUCER_EXPIRY_MS

_KAFKA = "4.1"
_REQUEST_BYTES_MAX = 100 * 1024 * 1024
_MINUTE_MS = 60_000
_HEARTBEAT = "How often a member of the consumer protocol sends a heartbeat, in milliseconds."
_SESSION = "How long a member of the consumer protocol may be silent, in milliseconds."


class BrokerSetting(NamedTuple):
    """A broker's setting. `is_given`: it comes from how the server was started, and is not merely a default."""

    name: str
    type: int
    value: str
    is_given: bool
    documentation: str


def broker_settings(broker: Broker, client: Client, node: Node) -> list[BrokerSetting]:
    """All settings of a server."""
    found = [*_of_server(broker, client, node), *_constant(broker), *_topic_defaults()]
    return sorted(found, key=lambda setting: setting.name)


def group_settings(broker: Broker) -> list[BrokerSetting]:
    """The settings of a group of the consumer protocol, which are the same for all groups."""
    settings = broker.settings.consumer_groups
    return [
        BrokerSetting("consumer.heartbeat.interval.ms", INT, str(settings.heartbeat_interval_ms), False, _HEARTBEAT),
        BrokerSetting("consumer.session.timeout.ms", INT, str(settings.session_timeout_ms), False, _SESSION),
    ]


def _of_server(broker: Broker, client: Client, node: Node) -> list[BrokerSetting]:
    log_dir = broker.log_dir
    encryption = "SSL" if broker.settings.tls is not None else "PLAINTEXT"
    scheme = f"SASL_{encryption}" if broker.settings.has_users else encryption
    listener = f"{scheme}://{node.host}:{node.port}"
    session_ms = int((broker.settings.session_seconds or 0) * 1000)
    voters = ",".join(f"{each.id}@{each.host}:{each.port}" for each in broker.nodes(client)[:1])
    created = str(broker.settings.auto_create_topics).lower()
    table = [
        ("advertised.listeners", STRING, listener, "The address that clients get."),
        ("auto.create.topics.enable", BOOLEAN, created, "Whether a topic is created because a client names it."),
        ("broker.id", INT, str(node.id), "The number of this server."),
        ("connections.max.reauth.ms", LONG, str(session_ms), "When clients authenticate again; 0: they need not."),
        ("controller.quorum.voters", LIST, voters, "The server that tools ask about the cluster."),
        ("listeners", STRING, listener, "The address that clients connect to."),
        ("log.dir", STRING, log_dir, "The directory of the partitions."),
        ("log.dirs", STRING, log_dir, "The directory of the partitions."),
        ("node.id", INT, str(node.id), "The number of this server."),
        ("num.partitions", INT, str(broker.settings.partitions), "How many partitions a topic has that does not say how many."),
        ("process.roles", LIST, "broker,controller", "What a server does."),
    ]
    return [BrokerSetting(name, type_, value, True, text) for name, type_, value, text in table]


def _constant(broker: Broker) -> list[BrokerSetting]:
    classic, consumer = broker.settings.groups, broker.settings.consumer_groups
    table = [
        ("broker.rack", STRING, "", "The rack of the server."),
        ("default.replication.factor", INT, "1", "How many replicas a partition has."),
        ("delete.topic.enable", BOOLEAN, "true", "Whether clients can delete topics."),
        ("group.consumer.heartbeat.interval.ms", INT, str(consumer.heartbeat_interval_ms), _HEARTBEAT),
        ("group.consumer.session.timeout.ms", INT, str(consumer.session_timeout_ms), _SESSION),
        ("group.max.session.timeout.ms", INT, str(classic.session_timeout_ms_max), "The longest session of a classic group."),
        ("group.max.size", INT, str(classic.members_max), "How many members a classic group may have."),
        ("group.min.session.timeout.ms", INT, str(classic.session_timeout_ms_min), "The shortest session of a classic group."),
        ("inter.broker.protocol.version", STRING, _KAFKA, "The version of Kafka that the server behaves as."),
        ("log.cleaner.enable", BOOLEAN, "true", "Whether topics are compacted."),
        ("log.retention.check.interval.ms", LONG, str(_MINUTE_MS), "How often old segments are looked for."),
        ("offsets.retention.minutes", INT, str(GROUP_RETENTION_MS // _MINUTE_MS), "How long an unused group is kept."),
        ("producer.id.expiration.ms", INT, str(PRODUCER_EXPIRY_MS), "How long a partition knows an idle producer."),
        ("socket.request.max.bytes", INT, str(_REQUEST_BYTES_MAX), "The size of the largest request, in bytes."),
    ]
    return [BrokerSetting(name, type_, value, False, text) for name, type_, value, text in table]


def _topic_defaults() -> list[BrokerSetting]:
    return [
        BrokerSetting(described.broker_name, described.type, str(value), False, documentation(name))
        for name, value in TopicConfig({}).of_kafka().items()
        if (described := DESCRIPTIONS[name]).broker_name
    ]
