"""The members of a group that are remote clients of Kafka's classic protocol: an entry a group, its name as key, JSON as value.

They are not with the group's own entry, so that versions that do not know them can read it: to these the group has no members.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from typing import Any, NamedTuple

import lmdb

from eventlog.catalog.environment import CLASSIC, CatalogEnvironment
from eventlog.catalog.values import with_checksum
from eventlog.errors import EventLogError


class ClassicMember(NamedTuple):
    """A member of a remote client. `protocols` has for each assignor that it supports, its first choice first, what the client
    says of itself, and `assignment` is what the leader assigned to it: both in the format of the clients."""

    member_id: str
    instance_id: str | None
    client_id: str
    host: str
    session_timeout_ms: int
    rebalance_timeout_ms: int
    protocols: tuple[tuple[str, bytes], ...]
    assignment: bytes
    joined_ms: int


class ClassicState(NamedTuple):
    """The last complete generation of a group's remote members.

    `term` is the number of the transaction in which the server process `process_id` became the group's coordinator: while it
    is, it holds the lock of a member with this epoch, and owns the group's slots. `stored_ms` is in ms since the epoch."""

    term: int
    process_id: int
    generation: int = 0
    protocol_type: str = ""
    protocol: str = ""
    leader: str = ""
    stored_ms: int = 0
    members: tuple[ClassicMember, ...] = ()


def _member_fields(member: ClassicMember) -> dict[str, Any]:
    protocols = [[name, b64encode(metadata).decode()] for name, metadata in member.protocols]
    return {**member._asdict(), "protocols": protocols, "assignment": b64encode(member.assignment).decode()}


def _member(fields: dict[str, Any]) -> ClassicMember:
    protocols = tuple((name, b64decode(metadata)) for name, metadata in fields["protocols"])
    return ClassicMember(**{**fields, "protocols": protocols, "assignment": b64decode(fields["assignment"])})


def find(transaction: lmdb.Transaction, environment: CatalogEnvironment, group: str) -> ClassicState | None:
    """The remote members of a group; None if it is not a classic group. Raises `EventLogError`."""
    content = environment.content(transaction, CLASSIC, group.encode())
    if content is None:
        return None
    try:
        fields = json.loads(content)
        return ClassicState(**{**fields, "members": tuple(map(_member, fields["members"]))})
    except (ValueError, KeyError, TypeError) as error:
        raise EventLogError(f"the catalog's remote members of group {group!r} are damaged: {error}") from error


def store(transaction: lmdb.Transaction, environment: CatalogEnvironment, group: str, state: ClassicState | None) -> None:
    """Replace the remote members of a group; None removes them."""
    key, database = group.encode(), environment.database(CLASSIC)
    if state is None:
        transaction.delete(key, db=database)
        return
    fields = {**state._asdict(), "members": list(map(_member_fields, state.members))}
    transaction.put(key, with_checksum(key, json.dumps(fields, separators=(",", ":")).encode()), db=database)
