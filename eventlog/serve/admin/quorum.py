"""DescribeQuorum: the quorum that decides about topics. Here that is the catalog, which every server writes to."""

from __future__ import annotations

from typing import Any

from eventlog.clock import now_ms
from eventlog.serve import errors
from eventlog.serve.broker import Broker, Client
from eventlog.serve.errors import RefusedError, noted_in
from eventlog.serve.protocol.messages import kind

_TOPIC = "__cluster_metadata"
_LISTENER = "CONTROLLER"


async def answer_describe_quorum(broker: Broker, client: Client, version: int, request: Any) -> Any:
    """The first server as the leader, and the others as observers that know all it knows."""
    nodes = broker.nodes(client)
    end_offset = await broker.in_thread(broker.log.store.catalog.environment.last_transaction)
    time_ms = now_ms()
    states = [
        kind("DescribeQuorumResponse", "ReplicaState")(
            replica_id=node.id, log_end_offset=end_offset, last_fetch_timestamp=time_ms, last_caught_up_timestamp=time_ms
        )
        for node in nodes
    ]
    topics = []
    for topic in request.topics:
        partitions = []
        for wanted in topic.partitions:
            result = kind("DescribeQuorumResponse", "PartitionData")(
                partition_index=wanted.partition_index, error_message=None, leader_id=-1, leader_epoch=-1, high_watermark=-1
            )
            with noted_in(result):
                if (topic.topic_name, wanted.partition_index) != (_TOPIC, 0):
                    raise RefusedError(errors.UNKNOWN_TOPIC_OR_PARTITION, f"only {_TOPIC} has a quorum, for its partition 0")
                result.leader_id, result.leader_epoch, result.high_watermark = nodes[0].id, 1, end_offset
                result.current_voters, result.observers = states[:1], states[1:]
            partitions.append(result)
        topics.append(kind("DescribeQuorumResponse", "TopicData")(topic_name=topic.topic_name, partitions=partitions))
    listener = kind("DescribeQuorumResponse", "Listener")
    entry = kind("DescribeQuorumResponse", "Node")
    listed = [entry(node_id=each.id, listeners=[listener(name=_LISTENER, host=each.host, port=each.port)]) for each in nodes]
    return kind("DescribeQuorumResponse")(error_message=None, topics=topics, nodes=listed)
