"""Decodes a request, calls the handler of its API, and encodes the handler's answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from eventlog.serve import offered
from eventlog.serve.admin.access import (
    answer_create_acls,
    answer_delete_acls,
    answer_describe_acls,
    answer_describe_client_quotas,
)
from eventlog.serve.admin.cluster import answer_describe_cluster
from eventlog.serve.admin.config_changes import answer_alter_configs, answer_incremental_alter_configs
from eventlog.serve.admin.configs import answer_describe_configs, answer_list_config_resources
from eventlog.serve.admin.log_dirs import answer_alter_replica_log_dirs, answer_describe_log_dirs
from eventlog.serve.admin.partitions import answer_create_partitions, answer_delete_records
from eventlog.serve.admin.quorum import answer_describe_quorum
from eventlog.serve.admin.replicas import (
    answer_alter_partition_reassignments,
    answer_elect_leaders,
    answer_list_partition_reassignments,
)
from eventlog.serve.admin.topic_partitions import answer_describe_topic_partitions
from eventlog.serve.admin.topics import answer_create_topics, answer_delete_topics
from eventlog.serve.api_versions import answer_api_versions, refuse_version
from eventlog.serve.broker import Broker, Client
from eventlog.serve.coordinator.commits import answer_offset_commit, answer_offset_delete, answer_offset_fetch
from eventlog.serve.coordinator.consumer_group_describe import answer_consumer_group_describe
from eventlog.serve.coordinator.consumer_groups import answer_consumer_group_heartbeat
from eventlog.serve.coordinator.finding import answer_find_coordinator
from eventlog.serve.coordinator.listing import answer_delete_groups, answer_describe_groups, answer_list_groups
from eventlog.serve.coordinator.membership import (
    answer_heartbeat,
    answer_join_group,
    answer_leave_group,
    answer_sync_group,
)
from eventlog.serve.coordinator.open_transactions import (
    answer_describe_producers,
    answer_describe_transactions,
    answer_list_transactions,
)
from eventlog.serve.coordinator.transactions import (
    answer_add_offsets,
    answer_add_partitions,
    answer_end_txn,
    answer_init_producer_id,
    answer_txn_offset_commit,
)
from eventlog.serve.fetch import answer_fetch
from eventlog.serve.metadata import answer_metadata
from eventlog.serve.offered import APIS, is_flexible
from eventlog.serve.offsets import answer_list_offsets, answer_offset_for_leader_epoch
from eventlog.serve.produce import answer_produce
from eventlog.serve.protocol.frames import RequestHeader, answer_pieces, read_header
from eventlog.serve.protocol.messages import MalformedMessageError, codec
from eventlog.serve.security.guard import guarded
from eventlog.serve.security.sasl import answer_sasl_authenticate, answer_sasl_handshake, answer_token
from eventlog.serve.security.scram_users import (
    answer_alter_user_scram_credentials,
    answer_describe_user_scram_credentials,
)

Handler = Callable[[Broker, Client, int, Any], Awaitable[Any]]
"""Answers a request of the given version with the message to send; None if the client wants no answer. Raises
`DisconnectError`, which ends the connection."""

HANDLERS: dict[int, Handler] = {
    offered.PRODUCE: answer_produce,
    offered.FETCH: answer_fetch,
    offered.LIST_OFFSETS: answer_list_offsets,
    offered.OFFSET_FOR_LEADER_EPOCH: answer_offset_for_leader_epoch,
    offered.METADATA: answer_metadata,
    offered.API_VERSIONS: answer_api_versions,
    offered.CONSUMER_GROUP_HEARTBEAT: answer_consumer_group_heartbeat,
    offered.CONSUMER_GROUP_DESCRIBE: answer_consumer_group_describe,
    offered.OFFSET_COMMIT: answer_offset_commit,
    offered.OFFSET_FETCH: answer_offset_fetch,
    offered.FIND_COORDINATOR: answer_find_coordinator,
    offered.JOIN_GROUP: answer_join_group,
    offered.HEARTBEAT: answer_heartbeat,
    offered.LEAVE_GROUP: answer_leave_group,
    offered.SYNC_GROUP: answer_sync_group,
    offered.OFFSET_DELETE: answer_offset_delete,
    offered.DESCRIBE_GROUPS: answer_describe_groups,
    offered.LIST_GROUPS: answer_list_groups,
    offered.DELETE_GROUPS: answer_delete_groups,
    offered.CREATE_TOPICS: answer_create_topics,
    offered.DELETE_TOPICS: answer_delete_topics,
    offered.DELETE_RECORDS: answer_delete_records,
    offered.CREATE_PARTITIONS: answer_create_partitions,
    offered.DESCRIBE_CLUSTER: answer_describe_cluster,
    offered.DESCRIBE_CONFIGS: answer_describe_configs,
    offered.ALTER_CONFIGS: answer_alter_configs,
    offered.INCREMENTAL_ALTER_CONFIGS: answer_incremental_alter_configs,
    offered.LIST_CONFIG_RESOURCES: answer_list_config_resources,
    offered.DESCRIBE_TOPIC_PARTITIONS: answer_describe_topic_partitions,
    offered.DESCRIBE_LOG_DIRS: answer_describe_log_dirs,
    offered.ALTER_REPLICA_LOG_DIRS: answer_alter_replica_log_dirs,
    offered.DESCRIBE_QUORUM: answer_describe_quorum,
    offered.ELECT_LEADERS: answer_elect_leaders,
    offered.ALTER_PARTITION_REASSIGNMENTS: answer_alter_partition_reassignments,
    offered.LIST_PARTITION_REASSIGNMENTS: answer_list_partition_reassignments,
    offered.DESCRIBE_ACLS: answer_describe_acls,
    offered.CREATE_ACLS: answer_create_acls,
    offered.DELETE_ACLS: answer_delete_acls,
    offered.DESCRIBE_CLIENT_QUOTAS: answer_describe_client_quotas,
    offered.INIT_PRODUCER_ID: answer_init_producer_id,
    offered.ADD_PARTITIONS_TO_TXN: answer_add_partitions,
    offered.ADD_OFFSETS_TO_TXN: answer_add_offsets,
    offered.END_TXN: answer_end_txn,
    offered.TXN_OFFSET_COMMIT: answer_txn_offset_commit,
    offered.DESCRIBE_PRODUCERS: answer_describe_producers,
    offered.DESCRIBE_TRANSACTIONS: answer_describe_transactions,
    offered.LIST_TRANSACTIONS: answer_list_transactions,
    offered.SASL_HANDSHAKE: answer_sasl_handshake,
    offered.SASL_AUTHENTICATE: answer_sasl_authenticate,
    offered.DESCRIBE_USER_SCRAM_CREDENTIALS: answer_describe_user_scram_credentials,
    offered.ALTER_USER_SCRAM_CREDENTIALS: answer_alter_user_scram_credentials,
}


class _Served(NamedTuple):
    """A version of an API: how its requests are decoded, answered, and their answers encoded."""

    decode: Callable[[memoryview], tuple[Any, int]]
    handler: Handler
    encode: Callable[[Any, list[Any]], None]
    answers_with_tags: bool


_served: dict[tuple[int, int], _Served] = {}  # by API key and version, once they have been used


async def answer_frame(broker: Broker, client: Client, frame: memoryview) -> list[Any] | None:
    """The pieces of the answer to a request. Raises `MalformedMessageError`, also for an API or version that is not served."""
    if client.session is not None and client.session.takes_tokens:
        return await answer_token(client.session, client, frame)
    header = read_header(frame, is_flexible)
    if client.session is not None:
        await client.session.check(header.api_key)
    key, version = header.api_key, header.version
    served = _served.get((key, version)) or _find(key, version)
    if served is None:
        return _encoded(header, codec("ApiVersionsResponse", 0).encode, False, refuse_version())
    request, _ = served.decode(frame[header.body_at :])
    client.client_id = header.client_id or ""
    if client.session is None:
        response = await served.handler(broker, client, version, request)
    else:
        response = await guarded(APIS[key].name, served.handler, broker, client, version, request)
    return None if response is None else _encoded(header, served.encode, served.answers_with_tags, response)


def _find(key: int, version: int) -> _Served | None:
    """None for a version of ApiVersions that is too new."""
    api = APIS.get(key)
    if api is None:
        raise MalformedMessageError(f"API {key} is not served")
    if version not in api.versions:
        if key != offered.API_VERSIONS:
            raise MalformedMessageError(f"version {version} of {api.name} is not served")
        return None
    decode, encode = codec(f"{api.name}Request", version).decode, codec(f"{api.name}Response", version).encode
    found = _served[key, version] = _Served(decode, HANDLERS[key], encode, api.answers_with_tags(version))
    return found


def _encoded(header: RequestHeader, encode: Callable[[Any, list[Any]], None], has_tags: bool, response: Any) -> list[Any]:
    pieces: list[Any] = []
    encode(response, pieces)
    return answer_pieces(header.correlation_id, has_tags, pieces)
