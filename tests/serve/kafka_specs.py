"""Kafka's message specifications, out of the jar that the tests against Apache Kafka fetch, as the server ships them.

`python -m tests.serve.kafka_specs` writes eventlog/serve/protocol/specs.json anew.
"""

from __future__ import annotations

import json
import re
import zipfile
from pathlib import Path
from typing import Any

SHIPPED = Path(__file__).parents[2] / "eventlog" / "serve" / "protocol" / "specs.json"
APIS = [
    "AddOffsetsToTxn", "AddPartitionsToTxn", "AlterConfigs", "AlterPartitionReassignments", "AlterReplicaLogDirs",
    "AlterUserScramCredentials", "ApiVersions", "ConsumerGroupDescribe", "ConsumerGroupHeartbeat", "CreateAcls",
    "CreatePartitions", "CreateTopics", "DeleteAcls", "DeleteGroups", "DeleteRecords", "DeleteTopics", "DescribeAcls",
    "DescribeClientQuotas", "DescribeCluster", "DescribeConfigs", "DescribeGroups", "DescribeLogDirs",
    "DescribeProducers", "DescribeQuorum", "DescribeTopicPartitions", "DescribeTransactions",
    "DescribeUserScramCredentials", "ElectLeaders", "EndTxn", "Fetch", "FindCoordinator", "Heartbeat",
    "IncrementalAlterConfigs", "InitProducerId", "JoinGroup", "LeaveGroup", "ListConfigResources", "ListGroups",
    "ListOffsets", "ListPartitionReassignments", "ListTransactions", "Metadata", "OffsetCommit", "OffsetDelete",
    "OffsetFetch", "OffsetForLeaderEpoch", "Produce", "SaslAuthenticate", "SaslHandshake", "SyncGroup",
    "TxnOffsetCommit",
]  # fmt: skip
OF_CLIENTS = ["ConsumerProtocolAssignment", "ConsumerProtocolSubscription"]  # what members of groups tell each other
_WORDS = {"about", "entityType", "mapKey", "ignorable", "zeroCopy", "latestVersionUnstable", "listeners"}


def read_specs(jar: Path) -> str:
    """What specs.json has to hold: the specifications of the APIs that are offered, one a line, without what is for people."""
    with zipfile.ZipFile(jar) as archive:
        names = [f"{api}{kind}" for api in APIS for kind in ("Request", "Response")]
        specs = [_read(archive, name) for name in [*names, *OF_CLIENTS]]
    return "[\n" + ",\n".join(json.dumps(spec, separators=(",", ":")) for spec in specs) + "\n]\n"


def _read(archive: zipfile.ZipFile, name: str) -> Any:
    text = archive.read(f"common/message/{name}.json").decode()
    return _without_words(json.loads(re.sub(r"^\s*//.*$", "", text, flags=re.MULTILINE)))


def _without_words(spec: Any) -> Any:
    if isinstance(spec, list):
        return [_without_words(item) for item in spec]
    if isinstance(spec, dict):
        return {key: _without_words(value) for key, value in spec.items() if key not in _WORDS}
    return spec


if __name__ == "__main__":
    from tests.interop import apache_kafka

    assert apache_kafka.fetch() is None
    SHIPPED.write_text(read_specs(next(apache_kafka.JARS.glob("kafka-clients-*.jar"))), "utf-8")
