"""What a client may do with a resource, as the set of bits that some answers have (KIP-430): a user what its role allows, and a
client that need not authenticate everything that can be done with a resource of that type.

Source of the numbers: clients/src/main/java/org/apache/kafka/common/acl/AclOperation.java, and AclEntry.supportedOperations.
"""

from __future__ import annotations

from eventlog.serve.broker import Client
from eventlog.serve.security.users import ADMIN, READER, WRITER, Resource, may

_READ, _WRITE, _CREATE, _DELETE, _ALTER, _DESCRIBE, _CLUSTER_ACTION = 3, 4, 5, 6, 7, 8, 9
_DESCRIBE_CONFIGS, _ALTER_CONFIGS, _IDEMPOTENT_WRITE = 10, 11, 12


def _bits(*operations: int) -> int:
    return sum(1 << operation for operation in operations)


NOT_ASKED_FOR = -(2**31)
_BY_ROLE = {
    (Resource.TOPIC, READER): _bits(_READ, _DESCRIBE, _DESCRIBE_CONFIGS),
    (Resource.TOPIC, WRITER): _bits(_WRITE),
    (Resource.TOPIC, ADMIN): _bits(_CREATE, _DELETE, _ALTER, _ALTER_CONFIGS),
    (Resource.GROUP, READER): _bits(_READ, _DESCRIBE, _DESCRIBE_CONFIGS),
    (Resource.GROUP, ADMIN): _bits(_DELETE, _ALTER_CONFIGS),
    (Resource.CLUSTER, READER): _bits(_DESCRIBE, _DESCRIBE_CONFIGS),
    (Resource.CLUSTER, WRITER): _bits(_IDEMPOTENT_WRITE),
    (Resource.CLUSTER, ADMIN): _bits(_CREATE, _ALTER, _CLUSTER_ACTION, _ALTER_CONFIGS),
}


def allowed(client: Client, resource: Resource, name: str = "") -> int:
    """The operations that a client may carry out on a resource."""
    user = None if client.session is None else client.session.user
    return sum(
        operations
        for (kind, role), operations in _BY_ROLE.items()
        if kind is resource and (user is None or may(user, role, resource, name))
    )
