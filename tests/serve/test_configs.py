"""DescribeConfigs, AlterConfigs, IncrementalAlterConfigs and ListConfigResources."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import eventlog
from eventlog import EventLog
from eventlog.options import SETTINGS_WITHOUT_EFFECT, TopicConfig
from eventlog.serve import errors
from eventlog.serve.admin.topic_settings import DESCRIPTIONS
from eventlog.serve.broker import Settings
from eventlog.serve.protocol.messages import kind
from eventlog.serve.security.accounts import add_user
from tests.serve.authentication import authenticate
from tests.serve.client import RawClient
from tests.serve.conftest import running_server

TOPIC, BROKER, LOGGER, CLIENT_METRICS, GROUP = 2, 4, 8, 16, 32
OF_TOPIC, OF_BROKER, DEFAULT = 1, 4, 5
BOOLEAN, INT, LONG, DOUBLE, LIST = 1, 3, 5, 6, 7
SET, DELETE, APPEND, SUBTRACT = range(4)


def describe(
    client: RawClient, type_: int, name: str, keys: list[str] | None = None, *, version: int = 4, **fields: Any
) -> Any:
    wanted = kind("DescribeConfigsRequest", "DescribeConfigsResource")(
        resource_type=type_, resource_name=name, configuration_keys=keys
    )
    return client.ask("DescribeConfigs", version, resources=[wanted], **fields).results[0]


def settings_of(client: RawClient, name: str = "events", type_: int = TOPIC, **fields: Any) -> dict[str, Any]:
    return {each.name: each for each in describe(client, type_, name, **fields).configs}


def values_of(client: RawClient, name: str = "events") -> dict[str, str]:
    """The settings that were given."""
    return {key: each.value for key, each in settings_of(client, name).items() if each.config_source == OF_TOPIC}


def change(
    client: RawClient, *changes: tuple[str, int, str | None], version: int = 1, type_: int = TOPIC, name: str = "events",
    validate_only: bool = False,
) -> Any:  # fmt: skip
    config = kind("IncrementalAlterConfigsRequest", "AlterableConfig")
    configs = [config(name=key, config_operation=operation, value=value) for key, operation, value in changes]
    resource = kind("IncrementalAlterConfigsRequest", "AlterConfigsResource")(
        resource_type=type_, resource_name=name, configs=configs
    )
    return client.ask("IncrementalAlterConfigs", version, resources=[resource], validate_only=validate_only).responses[0]


def replace(client: RawClient, config: dict[str, str | None], *, version: int = 2, validate_only: bool = False) -> Any:
    entry = kind("AlterConfigsRequest", "AlterableConfig")
    resource = kind("AlterConfigsRequest", "AlterConfigsResource")(
        resource_type=TOPIC, resource_name="events", configs=[entry(name=key, value=value) for key, value in config.items()]
    )
    return client.ask("AlterConfigs", version, resources=[resource], validate_only=validate_only).responses[0]


@pytest.mark.parametrize("version", range(1, 5))
def test_every_setting_of_a_topic_is_described(client: RawClient, log: EventLog, version: int) -> None:
    log.alter_topic("events", config={"retention.ms": 1000, "preallocate": "true"})
    found = settings_of(client, version=version, include_synonyms=True, include_documentation=True)
    assert list(found) == sorted(DESCRIPTIONS) == sorted(TopicConfig({}).of_kafka())
    retention, ratio = found["retention.ms"], found["min.cleanable.dirty.ratio"]
    assert (retention.value, retention.config_source, retention.read_only) == ("1000", OF_TOPIC, False)
    assert [(each.name, each.value, each.source) for each in retention.synonyms] == [
        ("retention.ms", "1000", OF_TOPIC), ("log.retention.ms", "-1", DEFAULT),
    ]  # fmt: skip
    assert (ratio.value, ratio.config_source) == ("0.5", DEFAULT)
    assert not any(each.is_sensitive for each in found.values())
    if version >= 3:
        assert [found[name].config_type for name in ("preallocate", "segment.bytes", "retention.ms", "cleanup.policy")] == [
            BOOLEAN, INT, LONG, LIST,
        ]  # fmt: skip
        assert ratio.config_type == DOUBLE
        told = {name for name, each in found.items() if "without effect" in each.documentation}
        assert told == SETTINGS_WITHOUT_EFFECT


def test_only_what_a_client_wants_is_told(client: RawClient) -> None:
    found = settings_of(client, keys=["retention.ms", "no.such.setting"])
    assert list(found) == ["retention.ms"]
    assert (list(found["retention.ms"].synonyms), found["retention.ms"].documentation) == ([], None)


def test_a_brokers_settings_say_how_the_server_was_started(log: EventLog, store: Path) -> None:
    with running_server(log, Settings(auto_create_topics=False, partitions=4)) as server, RawClient(server.address) as client:
        found = settings_of(client, "1", BROKER, include_synonyms=True, include_documentation=True)
        listener = "PLAINTEXT://{}:{}".format(*server.address)
    assert {name: found[name].value for name in ("num.partitions", "auto.create.topics.enable", "advertised.listeners")} == {
        "num.partitions": "4", "auto.create.topics.enable": "false", "advertised.listeners": listener,
    }  # fmt: skip
    assert found["log.dirs"].value == str(store / "logs")
    assert found["producer.id.expiration.ms"].value == "86400000"
    assert (found["num.partitions"].config_source, found["message.max.bytes"].config_source) == (OF_BROKER, DEFAULT)
    assert all(each.read_only and each.documentation and each.synonyms and each.config_type for each in found.values())


def test_a_brokers_settings_say_that_clients_authenticate_and_how_often(log: EventLog) -> None:
    add_user(log, "alice", "secret", "admin")
    with running_server(log, Settings(has_users=True, session_seconds=60)) as server, RawClient(server.address) as client:
        authenticate(client, "alice", "secret")
        found = settings_of(client, "1", BROKER)
        listener = "SASL_PLAINTEXT://{}:{}".format(*server.address)
    assert (found["advertised.listeners"].value, found["connections.max.reauth.ms"].value) == (listener, "60000")


@pytest.mark.parametrize(
    ("type_", "name", "code"),
    [
        (TOPIC, "missing", errors.UNKNOWN_TOPIC_OR_PARTITION),
        (TOPIC, "a/b", errors.INVALID_TOPIC_EXCEPTION),
        (TOPIC, "", errors.INVALID_TOPIC_EXCEPTION),
        (BROKER, "2", errors.INVALID_REQUEST),
        (BROKER, "one", errors.INVALID_REQUEST),
        (LOGGER, "", errors.INVALID_REQUEST),
        (GROUP, "", errors.INVALID_REQUEST),
        (CLIENT_METRICS, "", errors.INVALID_REQUEST),
        (0, "events", errors.INVALID_REQUEST),
        (-128, "events", errors.INVALID_REQUEST),
    ],
)
def test_resources_that_there_are_not_have_no_settings(client: RawClient, type_: int, name: str, code: int) -> None:
    found = describe(client, type_, name)
    assert (found.error_code, list(found.configs), bool(found.error_message)) == (code, [], True)
    assert change(client, ("retention.ms", SET, "1"), type_=type_, name=name).error_code in (code, errors.INVALID_REQUEST)


def test_the_timeouts_of_groups_are_told(client: RawClient) -> None:
    found = settings_of(client, "billing", GROUP)
    assert {name: (each.value, each.read_only) for name, each in found.items()} == {
        "consumer.heartbeat.interval.ms": ("5000", True), "consumer.session.timeout.ms": ("45000", True),
    }  # fmt: skip
    assert change(client, ("consumer.session.timeout.ms", SET, "1"), type_=GROUP, name="g").error_code == errors.INVALID_REQUEST


@pytest.mark.parametrize(("type_", "name"), [(BROKER, ""), (LOGGER, "1"), (CLIENT_METRICS, "m")])
def test_what_cannot_be_set_is_empty(client: RawClient, type_: int, name: str) -> None:
    found = describe(client, type_, name)
    assert (found.error_code, list(found.configs)) == (errors.NONE, [])
    assert change(client, ("retention.ms", SET, "1"), type_=type_, name=name).error_code == errors.INVALID_REQUEST


@pytest.mark.parametrize("version", range(2))
def test_settings_are_changed_one_by_one(client: RawClient, store: Path, version: int) -> None:
    with eventlog.open(store) as other:
        other.alter_topic("events", config={"retention.ms": 1000, "segment.ms": 5})
        changes = ("retention.ms", SET, " 2000 "), ("segment.ms", DELETE, None), ("cleanup.policy", APPEND, "compact")
        assert change(client, *changes, version=version).error_code == errors.NONE
        assert other.topic("events").config == {"retention.ms": 2000, "cleanup.policy": "delete,compact"}
        assert change(client, ("cleanup.policy", SUBTRACT, "delete"), version=version).error_code == errors.NONE
        assert values_of(client) == {"retention.ms": "2000", "cleanup.policy": "compact"}


@pytest.mark.parametrize("version", range(3))
def test_settings_are_replaced_all_together(client: RawClient, log: EventLog, version: int) -> None:
    log.alter_topic("events", config={"retention.ms": 1000, "segment.ms": 5})
    assert replace(client, {"segment.bytes": "4096"}, validate_only=True).error_code == errors.NONE
    assert values_of(client) == {"retention.ms": "1000", "segment.ms": "5"}
    assert replace(client, {"segment.bytes": "4096"}, version=version).error_code == errors.NONE
    assert log.topic("events").config == {"segment.bytes": 4096}
    assert replace(client, {"segment.bytes": None}, version=version).error_code == errors.INVALID_REQUEST
    assert replace(client, {}, version=version).error_code == errors.NONE
    assert log.topic("events").config == {}


def test_an_open_partition_of_another_process_uses_the_new_settings_at_once(client: RawClient, store: Path) -> None:
    with eventlog.open(store) as other:
        partition = other.partition("events", 0)
        partition.append(b"x" * 2000)
        change(client, ("max.message.bytes", SET, "1000"))
        with pytest.raises(eventlog.RecordTooLargeError):
            partition.append(b"x" * 2000)
        other.alter_topic("events", config={"max.message.bytes": 3000})
        assert values_of(client) == {"max.message.bytes": "3000"}


@pytest.mark.parametrize("name", sorted(SETTINGS_WITHOUT_EFFECT))
def test_settings_of_kafka_without_effect_are_kept(client: RawClient, log: EventLog, name: str) -> None:
    value = {"remote.storage.enable": "FALSE"}.get(name, "0:1,1:1" if name.endswith("throttled.replicas") else "")
    value = value or {BOOLEAN: "True"}.get(DESCRIPTIONS[name].type, "5")
    assert change(client, (name, SET, value)).error_code == errors.NONE
    assert values_of(client) == {name: value.lower()}
    assert change(client, (name, DELETE, None)).error_code == errors.NONE
    assert log.topic("events").config == {}


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ([("no.such.setting", SET, "1")], errors.INVALID_CONFIG),
        ([("no.such.setting", APPEND, "1")], errors.INVALID_CONFIG),
        ([("retention.ms", SET, "soon")], errors.INVALID_CONFIG),
        ([("retention.ms", SET, "-2")], errors.INVALID_CONFIG),
        ([("retention.ms", SET, "9" * 400)], errors.INVALID_CONFIG),
        ([("segment.ms", SET, "0")], errors.INVALID_CONFIG),
        ([("preallocate", SET, "yes")], errors.INVALID_CONFIG),
        ([("cleanup.policy", SET, "forget")], errors.INVALID_CONFIG),
        ([("cleanup.policy", SUBTRACT, "delete")], errors.INVALID_CONFIG),
        ([("min.cleanable.dirty.ratio", SET, "nan")], errors.INVALID_CONFIG),
        ([("min.cleanable.dirty.ratio", SET, "1.5")], errors.INVALID_CONFIG),
        ([("remote.storage.enable", SET, "true")], errors.INVALID_CONFIG),
        ([("leader.replication.throttled.replicas", SET, "all")], errors.INVALID_CONFIG),
        ([("min.compaction.lag.ms", SET, "10"), ("max.compaction.lag.ms", SET, "9")], errors.INVALID_CONFIG),
        ([("retention.ms", APPEND, "1")], errors.INVALID_CONFIG),
        ([("retention.ms", SET, None)], errors.INVALID_REQUEST),
        ([("cleanup.policy", APPEND, None)], errors.INVALID_REQUEST),
        ([("retention.ms", 4, "1")], errors.INVALID_REQUEST),
        ([("retention.ms", -1, "1")], errors.INVALID_REQUEST),
        ([("retention.ms", SET, "1"), ("retention.ms", SET, "2")], errors.INVALID_REQUEST),
        ([("segment.ms", SET, "1"), ("retention.ms", SET, "soon")], errors.INVALID_CONFIG),
    ],
)
def test_changes_that_are_wrong_change_nothing(
    client: RawClient, log: EventLog, changes: list[tuple[str, int, str | None]], code: int
) -> None:
    for validate_only in (True, False):
        answer = change(client, *changes, validate_only=validate_only)
        assert (answer.error_code, bool(answer.error_message)) == (code, True)
    assert log.topic("events").config == {}


def test_what_is_only_tried_changes_nothing(client: RawClient, log: EventLog) -> None:
    assert change(client, ("retention.ms", SET, "1"), validate_only=True).error_code == errors.NONE
    assert log.topic("events").config == {}


def test_a_resource_stands_once_in_a_request(client: RawClient, log: EventLog) -> None:
    config = kind("AlterConfigsRequest", "AlterableConfig")(name="retention.ms", value="1")
    entry = kind("AlterConfigsRequest", "AlterConfigsResource")
    resource = entry(resource_type=TOPIC, resource_name="events", configs=[config])
    answer = client.ask("AlterConfigs", 2, resources=[resource, resource])
    assert [each.error_code for each in answer.responses] == [errors.INVALID_REQUEST] * 2
    assert log.topic("events").config == {}


def test_the_resources_that_have_settings_are_listed(client: RawClient, log: EventLog) -> None:
    log.create_topic("orders")

    def listed(version: int, *types: int) -> list[tuple[int, str]]:
        answer = client.ask("ListConfigResources", version, resource_types=list(types))
        assert answer.error_code == errors.NONE
        return [(each.resource_type, each.resource_name) for each in answer.config_resources]

    assert listed(0) == []
    assert listed(1) == [(TOPIC, "events"), (TOPIC, "orders"), (BROKER, "1"), (LOGGER, "1")]
    assert listed(1, TOPIC) == [(TOPIC, "events"), (TOPIC, "orders")]
    assert listed(1, BROKER, CLIENT_METRICS, GROUP) == [(BROKER, "1")]
    assert client.ask("ListConfigResources", 1, resource_types=[3]).error_code == errors.UNSUPPORTED_VERSION


def test_the_creator_of_a_topic_is_told_its_settings(client: RawClient) -> None:
    config = kind("CreateTopicsRequest", "CreatableTopicConfig")(name="retention.ms", value="1000")
    topic = kind("CreateTopicsRequest", "CreatableTopic")(
        name="orders", num_partitions=1, replication_factor=1, configs=[config]
    )
    told = client.ask("CreateTopics", 7, topics=[topic]).topics[0].configs
    described = settings_of(client, "orders")
    assert {each.name: each.value for each in told} == {name: each.value for name, each in described.items()}
    assert [each.name for each in told if each.config_source == OF_TOPIC] == ["retention.ms"]
    twice = kind("CreateTopicsRequest", "CreatableTopic")(
        name="others", num_partitions=1, replication_factor=1, configs=[config, config]
    )
    assert client.ask("CreateTopics", 7, topics=[twice]).topics[0].error_code == errors.INVALID_CONFIG


def test_deleting_settings_of_a_broker_changes_nothing_and_succeeds(client: RawClient) -> None:
    """As tools do when they have moved partitions: they take back limits that they may have set."""
    for name in ("1", ""):
        limits = ("leader.replication.throttled.rate", DELETE, None), ("follower.replication.throttled.rate", DELETE, None)
        assert change(client, *limits, type_=BROKER, name=name).error_code == errors.NONE
        assert change(client, ("log.cleaner.threads", SET, "2"), type_=BROKER, name=name).error_code == errors.INVALID_REQUEST
    assert change(client, ("log.cleaner.threads", DELETE, None), type_=BROKER, name="2").error_code == errors.INVALID_REQUEST
