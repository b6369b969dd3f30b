"""`eventlog serve` administered by kafka-python, confluent-kafka and Kafka's own tools, and asked what user interfaces ask."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaAdminClient, TopicPartition
from kafka.admin import (
    ACLFilter,
    ACLOperation,
    ACLPermissionType,
    ConfigResource,
    ConfigResourceType,
    ResourcePattern,
    ResourceType,
)
from kafka.errors import SecurityDisabledError

from eventlog import EventLog
from tests.interop import apache_kafka

pytestmark = pytest.mark.clients

SECONDS_MAX = 30
TOOLS = "org.apache.kafka.tools"
CLEANING = {"cleanup.policy": "compact", "retention.ms": "5000", "min.insync.replicas": "2"}


@pytest.fixture
def topic(log: EventLog) -> str:
    """A topic with two partitions, the first of which has four records."""
    log.create_topic("orders", 2)
    log.partition("orders", 0).append_many([b"a", b"b", b"c", b"d"], timestamps=[1000, 4000, 2000, 3000])
    return "orders"


def test_kafka_python_changes_topics(bootstrap: str, log: EventLog, topic: str) -> None:
    admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    admin.create_partitions({topic: 4})
    assert log.topic(topic).partitions == 4
    resource = ConfigResource(ConfigResourceType.TOPIC, topic, configs={"retention.ms": "5000", "segment.ms": "9"})
    admin.alter_configs([resource])
    assert log.topic(topic).config == {"retention.ms": 5000, "segment.ms": 9}
    admin.reset_configs([ConfigResource(ConfigResourceType.TOPIC, topic, configs={"segment.ms": None})])
    found = admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)], include_synonyms=True)
    assert {name: each["value"] for name, each in found["topic"][topic].items()} == {"retention.ms": "5000"}
    partition = TopicPartition(topic, 0)
    assert admin.delete_records({partition: 3})[partition]["low_watermark"] == 3
    assert log.partition(topic, 0).start_offset == 3
    assert admin.list_partition_offsets({partition: -3})[partition].offset == 3
    admin.close()


def test_kafka_python_describes_the_cluster(bootstrap: str, log: EventLog, topic: str) -> None:
    admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    assert admin.describe_cluster()["controller_id"] == 1
    assert [each["partition_index"] for each in admin.describe_topic_partitions([topic])["topics"][0]["partitions"]] == [0, 1]
    assert admin.describe_metadata_quorum()["topics"][0]["partitions"][0]["leader_id"] == 1
    directory = admin.describe_log_dirs()[0]["log_dirs"][0]
    assert [each["partition_size"] for each in directory["topics"][0]["partitions"]] == [
        size.size_bytes for size in log.sizes(topic)
    ]
    assert admin.list_partition_reassignments() == {}
    assert admin.alter_partition_reassignments({TopicPartition(topic, 0): [1]}) == {TopicPartition(topic, 0): None}
    admin.elect_leaders(0, raise_errors=False)
    assert admin.list_config_resources()["topic"] == [topic]
    brokers = admin.describe_configs([ConfigResource(ConfigResourceType.BROKER, "1")], config_filter="all")
    assert brokers["broker"]["1"]["advertised.listeners"]["value"] == f"PLAINTEXT://{bootstrap}"
    every = ResourcePattern(ResourceType.TOPIC, topic)
    with pytest.raises(SecurityDisabledError):
        admin.describe_acls(ACLFilter("User:a", "*", ACLOperation.ANY, ACLPermissionType.ANY, every))
    admin.close()


def test_confluent_changes_and_describes_topics(bootstrap: str, log: EventLog, topic: str) -> None:
    confluent_kafka = pytest.importorskip("confluent_kafka")
    admin_module = pytest.importorskip("confluent_kafka.admin")
    admin = admin_module.AdminClient({"bootstrap.servers": bootstrap})

    def done(futures: Any) -> Any:
        return {key: future.result(SECONDS_MAX) for key, future in futures.items()}

    done(admin.create_partitions([admin_module.NewPartitions(topic, 4)]))
    assert log.topic(topic).partitions == 4
    done(admin.alter_configs([admin_module.ConfigResource("topic", topic, set_config=CLEANING)]))
    operation, entry = admin_module.AlterConfigOpType, admin_module.ConfigEntry
    changes = [
        entry("cleanup.policy", "delete", incremental_operation=operation.APPEND),
        entry("retention.ms", None, incremental_operation=operation.DELETE),
    ]
    done(admin.incremental_alter_configs([admin_module.ConfigResource("topic", topic, incremental_configs=changes)]))
    assert log.topic(topic).config == {"cleanup.policy": "compact,delete", "min.insync.replicas": 2}
    resource = admin_module.ConfigResource("topic", topic)
    (found,) = done(admin.describe_configs([resource])).values()
    assert (found["cleanup.policy"].value, found["cleanup.policy"].is_default) == ("compact,delete", False)
    partition = confluent_kafka.TopicPartition(topic, 0, 2)
    (deleted,) = done(admin.delete_records([partition])).values()
    assert deleted.low_watermark == 2
    offsets = done(admin.list_offsets({confluent_kafka.TopicPartition(topic, 0): admin_module.OffsetSpec.max_timestamp()}))
    assert [each.offset for each in offsets.values()] == [3]
    cluster = admin.describe_cluster(include_authorized_operations=True).result(SECONDS_MAX)
    assert (cluster.controller.id, len(cluster.authorized_operations)) == (1, 7)
    described = done(admin.describe_topics(confluent_kafka.TopicCollection([topic]), include_authorized_operations=True))[topic]
    assert (len(described.partitions), len(described.authorized_operations)) == (4, 8)


def test_what_user_interfaces_ask_at_their_start_is_answered(bootstrap: str, log: EventLog, topic: str) -> None:
    """The calls of kafbat UI (ReactiveAdminClient) and of AKHQ (AbstractKafkaWrapper), by kafka-python's client."""
    admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    assert [each["broker_id"] for each in admin.describe_cluster()["brokers"]] == [1]
    assert admin.describe_features() is not None
    assert admin.list_topics() == [topic]
    assert [len(each["partitions"]) for each in admin.describe_topics([topic])] == [2]
    resources = [ConfigResource(ConfigResourceType.BROKER, "1"), ConfigResource(ConfigResourceType.TOPIC, topic)]
    found = admin.describe_configs(resources, include_synonyms=True, config_filter="all")
    assert {"delete.topic.enable", "inter.broker.protocol.version"} <= found["broker"]["1"].keys()
    assert {"retention.ms", "cleanup.policy", "min.insync.replicas"} <= found["topic"][topic].keys()
    assert json.dumps(admin.describe_log_dirs(), default=str).count('"partition_size"') == 2
    partitions = [TopicPartition(topic, number) for number in (0, 1)]
    ends = admin.list_partition_offsets(dict.fromkeys(partitions, -1))
    assert [ends[each].offset for each in partitions] == [4, 0]
    admin.close()


def run(bootstrap: str, tool: str, *arguments: str, may_fail: bool = False) -> str:
    return apache_kafka.run(tool, "--bootstrap-server", bootstrap, *arguments, may_fail=may_fail)


@pytest.mark.kafka
@pytest.mark.usefixtures("kafka")
def test_kafka_topics_and_kafka_configs(bootstrap: str, log: EventLog, topic: str) -> None:
    described = run(bootstrap, f"{TOOLS}.TopicCommand", "--describe", "--topic", topic)
    assert "PartitionCount: 2" in described and "Leader: 1" in described
    run(bootstrap, f"{TOOLS}.TopicCommand", "--alter", "--topic", topic, "--partitions", "3")
    assert log.topic(topic).partitions == 3
    entity = ["--entity-type", "topics", "--entity-name", topic]
    configs = "kafka.admin.ConfigCommand"
    settings = "cleanup.policy=[compact,delete],retention.ms=5000,file.delete.delay.ms=7"
    run(bootstrap, configs, "--alter", *entity, "--add-config", settings)
    run(bootstrap, configs, "--alter", *entity, "--delete-config", "retention.ms")
    assert log.topic(topic).config == {"cleanup.policy": "compact,delete", "file.delete.delay.ms": 7}
    assert "file.delete.delay.ms=7" in run(bootstrap, configs, "--describe", *entity)
    brokers = ["--entity-type", "brokers", "--entity-name", "1"]
    assert f"advertised.listeners=PLAINTEXT://{bootstrap}" in run(bootstrap, configs, "--describe", *brokers, "--all")
    refused = run(bootstrap, configs, "--alter", *brokers, "--add-config", "log.cleaner.threads=2", may_fail=True)
    assert "start the server with others" in refused


@pytest.mark.kafka
@pytest.mark.usefixtures("kafka")
def test_kafka_delete_records_get_offsets_and_log_dirs(bootstrap: str, log: EventLog, topic: str, tmp_path: Path) -> None:
    wanted = tmp_path / "offsets.json"
    wanted.write_text(json.dumps({"version": 1, "partitions": [{"topic": topic, "partition": 0, "offset": 1}]}))
    assert f"{topic}-0\tlow_watermark: 1" in run(bootstrap, f"{TOOLS}.DeleteRecordsCommand", "--offset-json-file", str(wanted))
    assert log.partition(topic, 0).start_offset == 1
    offsets = f"{TOOLS}.GetOffsetShell"
    for time, told in (("earliest", ["orders:0:1", "orders:1:0"]), ("max-timestamp", ["orders:0:1"]), ("3000", ["orders:0:1"])):
        printed = run(bootstrap, offsets, "--topic", topic, "--time", time).splitlines()
        assert [line for line in printed if line.startswith(topic)][: len(told)] == told
    printed = run(bootstrap, f"{TOOLS}.LogDirsCommand", "--describe", "--topic-list", topic)
    directory = json.loads(printed.splitlines()[-1])["brokers"][0]["logDirs"][0]
    sizes = {each["partition"]: each["size"] for each in directory["partitions"]}
    assert sizes == {f"{topic}-{number}": size.size_bytes for number, size in enumerate(log.sizes(topic))}


@pytest.mark.kafka
@pytest.mark.usefixtures("kafka")
def test_kafkas_tools_for_leaders_replicas_and_the_cluster(bootstrap: str, topic: str, tmp_path: Path) -> None:
    elect = f"{TOOLS}.LeaderElectionCommand"
    printed = run(bootstrap, elect, "--election-type", "preferred", "--topic", topic, "--partition", "0")
    assert "Valid replica already elected" in printed
    run(bootstrap, elect, "--election-type", "preferred", "--all-topic-partitions")
    moves, reassign = tmp_path / "moves.json", f"{TOOLS}.reassign.ReassignPartitionsCommand"
    moves.write_text(json.dumps({"version": 1, "partitions": [{"topic": topic, "partition": 0, "replicas": [1]}]}))
    assert "Successfully started" in run(bootstrap, reassign, "--execute", "--reassignment-json-file", str(moves))
    assert "is completed" in run(bootstrap, reassign, "--verify", "--reassignment-json-file", str(moves))
    assert "No partition reassignments found" in run(bootstrap, reassign, "--list")
    quorum = f"{TOOLS}.MetadataQuorumCommand"
    assert "LeaderId:               1" in run(bootstrap, quorum, "describe", "--status")
    assert "Leader" in run(bootstrap, quorum, "describe", "--replication")
    cluster = apache_kafka.run(f"{TOOLS}.ClusterTool", "list-endpoints", "--bootstrap-server", bootstrap)
    assert "unfenced" in cluster and bootstrap.rpartition(":")[2] in cluster
    assert "SecurityDisabledException" in run(bootstrap, f"{TOOLS}.AclCommand", "--list", may_fail=True)
