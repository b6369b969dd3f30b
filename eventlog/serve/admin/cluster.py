"""DescribeCluster: the servers of the store."""

from __future__ import annotations

from typing import Any

from eventlog.serve import errors, operations
from eventlog.serve.broker import Broker, Client
from eventlog.serve.protocol.messages import kind
from eventlog.serve.security.users import Resource

_BROKERS, _CONTROLLERS = 1, 2


async def answer_describe_cluster(broker: Broker, client: Client, version: int, request: Any) -> Any:
    """The servers, as brokers. A client that believes to talk to a controller is told that it does not."""
    response = kind("DescribeClusterResponse")
    if request.endpoint_type != _BROKERS:
        is_known = request.endpoint_type == _CONTROLLERS
        return response(
            error_code=errors.MISMATCHED_ENDPOINT_TYPE if is_known else errors.UNSUPPORTED_ENDPOINT_TYPE,
            error_message="this is the address of a broker" if is_known else f"there is no type {request.endpoint_type}",
            endpoint_type=_BROKERS,
        )
    nodes = broker.nodes(client)
    entry = kind("DescribeClusterResponse", "DescribeClusterBroker")
    are_asked_for = request.include_cluster_authorized_operations
    return response(
        cluster_id=broker.cluster_id,
        controller_id=nodes[0].id,
        brokers=[
            entry(broker_id=node.id, host=node.host, port=node.port)
            for node in broker.servers.with_expected(nodes, client.host)
        ],
        cluster_authorized_operations=(
            operations.allowed(client, Resource.CLUSTER) if are_asked_for else operations.NOT_ASKED_FOR
        ),
    )
