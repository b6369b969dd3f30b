"""The right that each API needs: which names in a request are those of topics, groups and transactional ids, and which role a
user needs for them. An API without an entry is refused to users.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from eventlog.serve import errors
from eventlog.serve.security.users import ADMIN, READER, WRITER, Resource

TOPIC, GROUP, TRANSACTIONAL_ID, CLUSTER = Resource.TOPIC, Resource.GROUP, Resource.TRANSACTIONAL_ID, Resource.CLUSTER

REFUSALS = {
    TOPIC: errors.TOPIC_AUTHORIZATION_FAILED,
    GROUP: errors.GROUP_AUTHORIZATION_FAILED,
    TRANSACTIONAL_ID: errors.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
    CLUSTER: errors.CLUSTER_AUTHORIZATION_FAILED,
}


class Whole(NamedTuple):
    """The request needs `role` for a resource, and else is refused as a whole. `field` has its name, or a list of names;
    without one, the resource is the cluster."""

    resource: Resource
    role: str
    field: str = ""


class Each(NamedTuple):
    """Each item of the list `field` needs `role` for the resource that its field `name` names; without `name` the item is the
    name. Those that are refused are answered in the list `answers`, and the rest of the request is carried out."""

    resource: Resource
    role: str
    field: str
    name: str
    answers: str


class All(NamedTuple):
    """A request without names of topics in the list `field` asks for all topics: it gets those that the user may read. In the
    versions `is_empty_all` an empty list asks for all, too."""

    field: str
    is_empty_all: range


class Listed(NamedTuple):
    """Of the answer's list `field`, a user sees the items whose field `name` names what it may read."""

    resource: Resource
    field: str
    name: str


Rule = Whole | Each | All | Listed


class Api(NamedTuple):
    """The rules for an API, which hold for those versions that have their fields. `always` says that the handler is to be
    called even if nothing of the request is allowed."""

    rules: tuple[Rule, ...]
    always: bool = False


def _api(*rules: Rule, always: bool = False) -> Api:
    return Api(rules, always)


_ANYONE = _api()
_ADMIN = _api(Whole(CLUSTER, ADMIN))
_CONFIGS = {2: TOPIC, 32: GROUP}  # by the type of the resource; the others are settings of the server


def resource_of(rule: Whole | Each, request: Any, item: Any) -> Resource:
    """The resource that an item names; some say so themselves."""
    if rule.name == "resource_name" if isinstance(rule, Each) else False:
        return _CONFIGS.get(item.resource_type, CLUSTER)
    if "key_type" in request.field_names:
        return TRANSACTIONAL_ID if request.key_type == 1 else GROUP
    return rule.resource


RIGHTS: dict[str, Api] = {
    # Records, and what clients ask first
    "Produce": _api(
        Whole(TRANSACTIONAL_ID, WRITER, "transactional_id"), Each(TOPIC, WRITER, "topic_data", "name", "responses")
    ),
    "Fetch": _api(Each(TOPIC, READER, "topics", "topic", "responses")),
    "ListOffsets": _api(Each(TOPIC, READER, "topics", "name", "topics")),
    "OffsetForLeaderEpoch": _api(Each(TOPIC, READER, "topics", "topic", "topics")),
    "Metadata": _api(All("topics", range(0, 1)), Each(TOPIC, READER, "topics", "name", "topics"), always=True),
    "DescribeTopicPartitions": _api(All("topics", range(100)), Each(TOPIC, READER, "topics", "name", "topics")),
    "ApiVersions": _ANYONE,
    "SaslHandshake": _ANYONE,
    "SaslAuthenticate": _ANYONE,
    "DescribeCluster": _ANYONE,
    # Groups
    "FindCoordinator": _api(Whole(GROUP, READER, "key"), Each(GROUP, READER, "coordinator_keys", "", "coordinators")),
    "JoinGroup": _api(Whole(GROUP, READER, "group_id")),
    "SyncGroup": _api(Whole(GROUP, READER, "group_id")),
    "Heartbeat": _api(Whole(GROUP, READER, "group_id")),
    "LeaveGroup": _api(Whole(GROUP, READER, "group_id")),
    "OffsetCommit": _api(Whole(GROUP, READER, "group_id"), Each(TOPIC, READER, "topics", "name", "topics")),
    "OffsetFetch": _api(
        Whole(GROUP, READER, "group_id"),
        Each(TOPIC, READER, "topics", "name", "topics"),
        Each(GROUP, READER, "groups", "group_id", "groups"),
        Listed(TOPIC, "topics", "name"),
        Listed(TOPIC, "groups.topics", "name"),
    ),
    "ListGroups": _api(Listed(GROUP, "groups", "group_id")),
    "DescribeGroups": _api(Each(GROUP, READER, "groups", "", "groups")),
    "DeleteGroups": _api(Each(GROUP, ADMIN, "groups_names", "", "results")),
    "OffsetDelete": _api(Whole(GROUP, ADMIN, "group_id"), Each(TOPIC, READER, "topics", "name", "topics")),
    "ConsumerGroupHeartbeat": _api(Whole(GROUP, READER, "group_id"), Whole(TOPIC, READER, "subscribed_topic_names")),
    "ConsumerGroupDescribe": _api(Each(GROUP, READER, "group_ids", "", "groups")),
    # Producers and transactions
    "InitProducerId": _api(Whole(TRANSACTIONAL_ID, WRITER, "transactional_id"), Whole(CLUSTER, WRITER)),
    "AddPartitionsToTxn": _api(
        Whole(TRANSACTIONAL_ID, WRITER, "v3_and_below_transactional_id"),
        Each(TOPIC, WRITER, "v3_and_below_topics", "name", "results_by_topic_v3_and_below"),
        Each(CLUSTER, ADMIN, "transactions", "transactional_id", "results_by_transaction"),
    ),
    "AddOffsetsToTxn": _api(Whole(TRANSACTIONAL_ID, WRITER, "transactional_id"), Whole(GROUP, READER, "group_id")),
    "TxnOffsetCommit": _api(
        Whole(TRANSACTIONAL_ID, WRITER, "transactional_id"),
        Whole(GROUP, READER, "group_id"),
        Each(TOPIC, READER, "topics", "name", "topics"),
    ),
    "EndTxn": _api(Whole(TRANSACTIONAL_ID, WRITER, "transactional_id")),
    "DescribeProducers": _api(Each(TOPIC, READER, "topics", "name", "topics")),
    "DescribeTransactions": _api(Each(TRANSACTIONAL_ID, READER, "transactional_ids", "", "transaction_states")),
    "ListTransactions": _api(Listed(TRANSACTIONAL_ID, "transaction_states", "transactional_id")),
    # Administration
    "CreateTopics": _api(Each(TOPIC, ADMIN, "topics", "name", "topics")),
    "DeleteTopics": _api(Each(TOPIC, ADMIN, "topics", "name", "responses"), Each(TOPIC, ADMIN, "topic_names", "", "responses")),
    "DeleteRecords": _api(Each(TOPIC, ADMIN, "topics", "name", "topics")),
    "CreatePartitions": _api(Each(TOPIC, ADMIN, "topics", "name", "results")),
    "DescribeConfigs": _api(Each(CLUSTER, READER, "resources", "resource_name", "results")),
    "AlterConfigs": _api(Each(CLUSTER, ADMIN, "resources", "resource_name", "responses")),
    "IncrementalAlterConfigs": _api(Each(CLUSTER, ADMIN, "resources", "resource_name", "responses")),
    "CreateAcls": _api(Each(CLUSTER, ADMIN, "creations", "resource_name", "results")),
    "DeleteAcls": _api(Each(CLUSTER, ADMIN, "filters", "resource_name_filter", "filter_results")),
    "DescribeAcls": _ADMIN,
    "ElectLeaders": _ADMIN,
    "AlterPartitionReassignments": _ADMIN,
    "ListPartitionReassignments": _ADMIN,
    "AlterReplicaLogDirs": _ADMIN,
    "DescribeLogDirs": _ADMIN,
    "DescribeClientQuotas": _ADMIN,
    "DescribeQuorum": _ADMIN,
    "ListConfigResources": _ADMIN,
    "DescribeUserScramCredentials": _ADMIN,
    "AlterUserScramCredentials": _api(
        Each(CLUSTER, ADMIN, "upsertions", "name", "results"), Each(CLUSTER, ADMIN, "deletions", "name", "results")
    ),
}
