"""The replicas that clients assign to partitions: there is one of each, on any of the servers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from eventlog.serve import errors
from eventlog.serve.broker import Broker, Client
from eventlog.serve.errors import RefusedError

_DEFAULT = -1


def check_replication_factor(broker: Broker, factor: int) -> None:
    """Raise `RefusedError` unless a topic can be asked for with so many replicas."""
    if factor in (_DEFAULT, 1) or (factor > 1 and broker.settings.accept_replication):
        return
    reason = f"a partition has 1 replica here, and not {factor}"
    if factor > 1:
        reason += "; eventlog serve --accept-replication takes such topics, without replicas"
    raise RefusedError(errors.INVALID_REPLICATION_FACTOR, reason)


def check_replicas(broker: Broker, client: Client, replicas: Sequence[int]) -> None:
    """Raise `RefusedError` unless a partition can have its replicas on these brokers."""
    known = [node.id for node in broker.nodes(client)]
    unknown = [replica for replica in replicas if replica not in known]
    if unknown:
        raise RefusedError(
            errors.INVALID_REPLICA_ASSIGNMENT, f"there is no broker {unknown[0]}; there is {', '.join(map(str, known))}"
        )
    if len(set(replicas)) != len(replicas) or not replicas:
        raise RefusedError(errors.INVALID_REPLICA_ASSIGNMENT, f"{list(replicas)} does not name brokers, each once")
    if len(replicas) > 1 and not broker.settings.accept_replication:
        raise RefusedError(
            errors.INVALID_REPLICA_ASSIGNMENT, f"a partition has 1 replica here, and not {len(replicas)}: {list(replicas)}"
        )


def check_assignments(broker: Broker, client: Client, assignments: Sequence[Any]) -> int:
    """Raise `RefusedError` unless partitions can be created with these replicas; returns their number."""
    numbers = sorted(assignment.partition_index for assignment in assignments)
    if numbers != list(range(len(numbers))):
        raise RefusedError(errors.INVALID_REPLICA_ASSIGNMENT, "the partitions with assigned replicas are not 0, 1, 2 and so on")
    for assignment in assignments:
        check_replicas(broker, client, assignment.broker_ids)
    return len(numbers)
