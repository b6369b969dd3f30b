"""The topics of a cluster: made, altered, described and deleted."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, NamedTuple

from eventlog.errors import EventLogError, InvalidArgumentError, InvalidTypeError
from eventlog.kafka.cluster import Cluster
from eventlog.kafka.library import admin_library
from eventlog.options import Setting, check_partition_count, check_topic_name, parse_settings

_OF_TOPIC = 1  # the source of a setting that was given for the topic itself


class KafkaTopic(NamedTuple):
    """A topic as it was when it was asked for. `config` has the settings that were given, by Kafka's names. `created_ms` is -1:
    brokers do not tell it."""

    name: str
    partitions: int
    config: Mapping[str, Setting]
    created_ms: int = -1


def create_topic(cluster: Cluster, name: str, partitions: int, config: Mapping[str, object] | None) -> KafkaTopic:
    """As `contract.Log.create_topic`; the replication factor is the brokers' default."""
    check_topic_name(name)
    check_partition_count(partitions)
    settings = {key: _as_text(key, value) for key, value in _checked(config).items()}
    cluster.check_usable()
    new = admin_library().NewTopic(name, num_partitions=partitions, config=settings)
    limits = {"operation_timeout": cluster.seconds, "request_timeout": cluster.seconds}
    cluster.results(f"topic {name} cannot be created", cluster.admin.create_topics([new], **limits))
    cluster.wait_until(lambda: cluster.partition_counts([name]).get(name) == partitions, cluster.seconds)
    return describe_topic(cluster, name)


def alter_topic(
    cluster: Cluster, name: str, partitions: int | None, config: Mapping[str, object] | None
) -> KafkaTopic:
    """As `contract.Log.alter_topic`. Settings first: if they are refused, nothing was changed."""
    before = cluster.partition_count(name)
    if partitions is not None and check_partition_count(partitions) < before:
        raise InvalidArgumentError(f"{name} has {before} partitions, and cannot have fewer")
    changes = _checked(config)
    if changes:
        _alter_settings(cluster, name, changes)
    if partitions is not None and partitions > before:
        what = f"topic {name} cannot have {partitions} partitions"
        new = admin_library().NewPartitions(name, partitions)
        limits = {"operation_timeout": cluster.seconds, "request_timeout": cluster.seconds}
        cluster.results(what, cluster.admin.create_partitions([new], **limits))
        cluster.wait_until(lambda: cluster.partition_counts([name]).get(name, 0) >= partitions, cluster.seconds)
    return describe_topic(cluster, name)


def _alter_settings(cluster: Cluster, name: str, changes: Mapping[str, object]) -> None:
    library = admin_library()
    resource = library.ConfigResource(library.RESOURCE_TOPIC, name)
    for key, value in changes.items():
        kind = library.AlterConfigOpType.DELETE if value is None else library.AlterConfigOpType.SET
        text = None if value is None else _as_text(key, value)
        resource.add_incremental_config(library.ConfigEntry(key, text, incremental_operation=kind))
    futures = cluster.admin.incremental_alter_configs([resource], request_timeout=cluster.seconds)
    cluster.results(f"the settings of topic {name} cannot be changed", futures)
    wanted = {key: None if value is None else _as_text(key, value) for key, value in changes.items()}

    def is_seen() -> bool:
        found = _given(cluster, name)
        return all(found.get(key) == value for key, value in wanted.items())

    cluster.wait_until(is_seen, 1.0)  # it was accepted: a broker that writes the value otherwise is no reason to fail


def describe_topic(cluster: Cluster, name: str) -> KafkaTopic:
    """As `contract.Log.topic`."""
    count = cluster.partition_count(name)
    return KafkaTopic(name, count, {key: _as_setting(key, text) for key, text in _given(cluster, name).items()})


def delete_topic(cluster: Cluster, name: str) -> None:
    """As `contract.Log.delete_topic`; brokers drop its records and the commits a moment later."""
    cluster.partition_count(name)
    limits = {"operation_timeout": cluster.seconds, "request_timeout": cluster.seconds}
    cluster.results(f"topic {name} cannot be deleted", cluster.admin.delete_topics([name], **limits))
    cluster.wait_until(lambda: name not in cluster.partition_counts([name]), cluster.seconds)


def _given(cluster: Cluster, name: str) -> dict[str, str]:
    library = admin_library()
    resource = library.ConfigResource(library.RESOURCE_TOPIC, name)
    futures = cluster.admin.describe_configs([resource], request_timeout=cluster.seconds)
    (entries,) = cluster.results(f"the settings of topic {name} cannot be read", futures).values()
    return {key: entry.value for key, entry in entries.items() if entry.source == _OF_TOPIC and entry.value is not None}


def _checked(config: object) -> Mapping[str, Any]:
    if config is None:
        return {}
    if not isinstance(config, Mapping) or not all(isinstance(key, str) for key in config):
        raise InvalidTypeError(f"config must be a mapping of setting to value, not {type(config).__name__}")
    return config


def _as_text(name: str, value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, str | int | float):
        raise InvalidArgumentError(f"{name} is {value!r}, but must be a number or a text")
    return str(value)


def _as_setting(name: str, text: str) -> Setting:
    """A number as a number, for the settings that a directory knows, too."""
    with suppress(EventLogError):
        return parse_settings({name: text})[name]
    return text
