"""ElectLeaders and the reassignments of partitions: the truth about partitions that have one replica, on whichever server."""

from __future__ import annotations

from typing import Any

from eventlog.serve import errors
from eventlog.serve.broker import Broker, Client
from eventlog.serve.errors import RefusedError, noted_in
from eventlog.serve.nodes import leader_of
from eventlog.serve.protocol.messages import kind
from eventlog.serve.turns import in_turns

_PREFERRED, _UNCLEAN = 0, 1


async def answer_elect_leaders(broker: Broker, client: Client, version: int, request: Any) -> Any:
    """No partition needs another leader. If all of them are meant, only those are named that got one, as with Kafka."""
    await broker.topics.refresh()
    if request.election_type not in (_PREFERRED, _UNCLEAN):
        return kind("ElectLeadersResponse")(error_code=errors.INVALID_REQUEST)
    results = []
    for topic in request.topic_partitions or ():
        partitions = []
        async for number in in_turns(topic.partitions):
            result = kind("ElectLeadersResponse", "PartitionResult")(partition_id=number)
            with noted_in(result):
                broker.partition(topic.topic, number)
                raise RefusedError(errors.ELECTION_NOT_NEEDED, "the partition has the leader that it prefers")
            partitions.append(result)
        results.append(kind("ElectLeadersResponse", "ReplicaElectionResult")(topic=topic.topic, partition_result=partitions))
    return kind("ElectLeadersResponse")(replica_election_results=results)


async def answer_alter_partition_reassignments(broker: Broker, client: Client, version: int, request: Any) -> Any:
    """A partition can be assigned to the server where it is, and to no other."""
    await broker.topics.refresh()
    name = "AlterPartitionReassignmentsResponse"
    topics = []
    for topic in request.topics:
        partitions = []
        async for wanted in in_turns(topic.partitions):
            result = kind(name, "ReassignablePartitionResponse")(partition_index=wanted.partition_index, error_message=None)
            with noted_in(result):
                broker.partition(topic.name, wanted.partition_index)
                _reassign(broker, client, topic.name, wanted)
            partitions.append(result)
        topics.append(kind(name, "ReassignableTopicResponse")(name=topic.name, partitions=partitions))
    return kind(name)(error_message=None, responses=topics)


def _reassign(broker: Broker, client: Client, topic: str, wanted: Any) -> None:
    if wanted.replicas is None:  # cancel the reassignment
        raise RefusedError(errors.NO_REASSIGNMENT_IN_PROGRESS, "the partition is not being reassigned")
    where = leader_of(broker.nodes(client), topic, wanted.partition_index).id
    if list(wanted.replicas) != [where]:
        reason = f"the partition is on broker {where}, and cannot be moved to {list(wanted.replicas)}"
        raise RefusedError(errors.INVALID_REPLICA_ASSIGNMENT, reason)


async def answer_list_partition_reassignments(broker: Broker, client: Client, version: int, request: Any) -> Any:
    """No partition is being reassigned."""
    return kind("ListPartitionReassignmentsResponse")(error_message=None)
