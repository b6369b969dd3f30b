"""The APIs that are offered, and their versions: the table for the answer to ApiVersions."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from eventlog.serve.protocol import messages


class Api(NamedTuple):
    """An API: the names of its messages begin with `name`, and `versions` are those that are served.

    ApiVersions announces the versions from `announced` on."""

    key: int
    name: str
    versions: range
    announced: int

    def is_flexible(self, version: int) -> bool:
        """Do requests of this version have tagged fields in their header?"""
        return version in self.versions and messages.is_flexible(f"{self.name}Request", version)

    def answers_with_tags(self, version: int) -> bool:
        """Do answers have tagged fields in their header? Not those of ApiVersions: the client may not know such fields."""
        return self.key != API_VERSIONS and messages.is_flexible(f"{self.name}Response", version)


PRODUCE, FETCH, LIST_OFFSETS, METADATA, API_VERSIONS, OFFSET_FOR_LEADER_EPOCH = 0, 1, 2, 3, 18, 23
CREATE_TOPICS, DELETE_TOPICS, DELETE_RECORDS, CREATE_PARTITIONS, DESCRIBE_CLUSTER = 19, 20, 21, 37, 60
DESCRIBE_CONFIGS, ALTER_CONFIGS, INCREMENTAL_ALTER_CONFIGS, LIST_CONFIG_RESOURCES = 32, 33, 44, 74
CONSUMER_GROUP_HEARTBEAT, CONSUMER_GROUP_DESCRIBE = 68, 69
DESCRIBE_TOPIC_PARTITIONS, DESCRIBE_LOG_DIRS, ALTER_REPLICA_LOG_DIRS, DESCRIBE_QUORUM = 75, 35, 34, 55
ELECT_LEADERS, ALTER_PARTITION_REASSIGNMENTS, LIST_PARTITION_REASSIGNMENTS = 43, 45, 46
DESCRIBE_ACLS, CREATE_ACLS, DELETE_ACLS, DESCRIBE_CLIENT_QUOTAS = 29, 30, 31, 48
OFFSET_COMMIT, OFFSET_FETCH, FIND_COORDINATOR, JOIN_GROUP, HEARTBEAT, LEAVE_GROUP, SYNC_GROUP = 8, 9, 10, 11, 12, 13, 14
DESCRIBE_GROUPS, LIST_GROUPS, DELETE_GROUPS, OFFSET_DELETE = 15, 16, 42, 47
OFFSET_DELETE = 47
INIT_PRODUCER_ID, ADD_PARTITIONS_TO_TXN, ADD_OFFSETS_TO_TXN, END_TXN, TXN_OFFSET_COMMIT = 22, 24, 25, 26, 28
DESCRIBE_PRODUCERS, DESCRIBE_TRANSACTIONS, LIST_TRANSACTIONS = 61, 65, 66
SASL_HANDSHAKE, SASL_AUTHENTICATE, DESCRIBE_USER_SCRAM_CREDENTIALS, ALTER_USER_SCRAM_CREDENTIALS = 17, 36, 50, 51

# librdkafka does not compress unless Produce is announced from version 0 on (KAFKA-18659), so brokers announce versions that
# they do not serve.
_TABLE = [
    # Records, and what clients ask first
    (PRODUCE, "Produce", 3, 13, 0),
    (FETCH, "Fetch", 4, 17, 4),
    (LIST_OFFSETS, "ListOffsets", 1, 10, 1),
    (OFFSET_FOR_LEADER_EPOCH, "OffsetForLeaderEpoch", 2, 4, 2),
    (METADATA, "Metadata", 0, 13, 0),
    (API_VERSIONS, "ApiVersions", 0, 4, 0),
    # Groups of the consumer protocol
    (CONSUMER_GROUP_HEARTBEAT, "ConsumerGroupHeartbeat", 0, 1, 0),
    (CONSUMER_GROUP_DESCRIBE, "ConsumerGroupDescribe", 0, 1, 0),
    # Groups of the classic protocol, and commits
    (OFFSET_COMMIT, "OffsetCommit", 2, 10, 2),
    (OFFSET_FETCH, "OffsetFetch", 1, 10, 1),
    (FIND_COORDINATOR, "FindCoordinator", 0, 6, 0),
    (JOIN_GROUP, "JoinGroup", 0, 9, 0),
    (HEARTBEAT, "Heartbeat", 0, 4, 0),
    (LEAVE_GROUP, "LeaveGroup", 0, 5, 0),
    (SYNC_GROUP, "SyncGroup", 0, 5, 0),
    (OFFSET_DELETE, "OffsetDelete", 0, 0, 0),
    (DESCRIBE_GROUPS, "DescribeGroups", 0, 6, 0),
    (LIST_GROUPS, "ListGroups", 0, 5, 0),
    (DELETE_GROUPS, "DeleteGroups", 0, 2, 0),
    # Administration
    (CREATE_TOPICS, "CreateTopics", 2, 7, 2),
    (DELETE_TOPICS, "DeleteTopics", 1, 6, 1),
    (DELETE_RECORDS, "DeleteRecords", 0, 2, 0),
    (CREATE_PARTITIONS, "CreatePartitions", 0, 3, 0),
    (DESCRIBE_CLUSTER, "DescribeCluster", 0, 2, 0),
    (DESCRIBE_CONFIGS, "DescribeConfigs", 1, 4, 1),
    (ALTER_CONFIGS, "AlterConfigs", 0, 2, 0),
    (INCREMENTAL_ALTER_CONFIGS, "IncrementalAlterConfigs", 0, 1, 0),
    (LIST_CONFIG_RESOURCES, "ListConfigResources", 0, 1, 0),
    (DESCRIBE_TOPIC_PARTITIONS, "DescribeTopicPartitions", 0, 0, 0),
    (DESCRIBE_LOG_DIRS, "DescribeLogDirs", 1, 4, 1),
    (ALTER_REPLICA_LOG_DIRS, "AlterReplicaLogDirs", 1, 2, 1),
    (DESCRIBE_QUORUM, "DescribeQuorum", 0, 2, 0),
    (ELECT_LEADERS, "ElectLeaders", 0, 2, 0),
    (ALTER_PARTITION_REASSIGNMENTS, "AlterPartitionReassignments", 0, 1, 0),
    (LIST_PARTITION_REASSIGNMENTS, "ListPartitionReassignments", 0, 0, 0),
    (DESCRIBE_ACLS, "DescribeAcls", 1, 3, 1),
    (CREATE_ACLS, "CreateAcls", 1, 3, 1),
    (DELETE_ACLS, "DeleteAcls", 1, 3, 1),
    (DESCRIBE_CLIENT_QUOTAS, "DescribeClientQuotas", 0, 1, 0),
    # Producers and transactions
    (INIT_PRODUCER_ID, "InitProducerId", 0, 5, 0),
    (ADD_PARTITIONS_TO_TXN, "AddPartitionsToTxn", 0, 3, 0),
    (ADD_OFFSETS_TO_TXN, "AddOffsetsToTxn", 0, 4, 0),
    (END_TXN, "EndTxn", 0, 4, 0),
    (TXN_OFFSET_COMMIT, "TxnOffsetCommit", 0, 4, 0),
    (DESCRIBE_PRODUCERS, "DescribeProducers", 0, 0, 0),
    (DESCRIBE_TRANSACTIONS, "DescribeTransactions", 0, 0, 0),
    (LIST_TRANSACTIONS, "ListTransactions", 0, 1, 0),
    # Security
    (SASL_HANDSHAKE, "SaslHandshake", 0, 1, 0),
    (SASL_AUTHENTICATE, "SaslAuthenticate", 0, 2, 0),
    (DESCRIBE_USER_SCRAM_CREDENTIALS, "DescribeUserScramCredentials", 0, 0, 0),
    (ALTER_USER_SCRAM_CREDENTIALS, "AlterUserScramCredentials", 0, 0, 0),
]

APIS = {key: Api(key, name, range(first, last + 1), announced) for key, name, first, last, announced in _TABLE}


@lru_cache(maxsize=1000)  # bounded: clients choose both numbers
def is_flexible(api_key: int, version: int) -> bool:
    """Does the header of such a request have tagged fields? False if the API or the version is not served."""
    return api_key in APIS and APIS[api_key].is_flexible(version)
