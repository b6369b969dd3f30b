"""Consumer groups in the catalog: one entry for each group, its name as key, JSON as value."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import lmdb

from eventlog.catalog import classic, commit_details, history, offsets, share_groups
from eventlog.catalog.changes import note_change
from eventlog.catalog.classic import ClassicState
from eventlog.catalog.commit_details import CommitDetails
from eventlog.catalog.environment import CatalogEnvironment
from eventlog.catalog.history import HistoryEntry, OffsetChange
from eventlog.catalog.offsets import StoredOffset
from eventlog.catalog.share_groups import ShareSettings
from eventlog.catalog.topics import partition_counts
from eventlog.catalog.values import checked, with_checksum
from eventlog.clock import now_ms
from eventlog.errors import EventLogError
from eventlog.nesting import Nested
from eventlog.records.record import TopicPartition

_DATABASE = b"groups"


class RemoteMember(NamedTuple):
    """What a member says of itself that takes part by heartbeats to a server: its id, the names and the pattern of the topics
    that it subscribes to, the assignor that it prefers, its rack, and how long it may take to give a partition up. An empty
    pattern matches no topic."""

    id: str
    names: tuple[str, ...] = ()
    pattern: str = ""
    assignor: str | None = None
    rack: str | None = None
    rebalance_timeout_ms: int = 300_000


class Member(NamedTuple):
    """A consumer in a group. `epoch` is the number of the transaction in which it joined: no two members ever share one.

    `seat` is its place in the group's mapped file, `lease_ms` how long it may go without a poll, `absence_ms` how long a static
    member (one with an `instance_id`) keeps its partitions when its process is gone. `absent_since_ms` is on the
    monotonic clock, None while it is there. `client_id` is what a consumer on another host calls itself; `process_id` is the
    process here that speaks for it. A member with `remote` is alive as long as its lease: no process holds a lock for it."""

    epoch: int
    seat: int
    process_id: int
    host: str
    topics: tuple[str, ...]
    lease_ms: int
    absence_ms: int
    joined_ms: int
    instance_id: str | None = None
    absent_since_ms: int | None = None
    client_id: str | None = None
    remote: RemoteMember | None = None

    @property
    def member_id(self) -> str:
        """The member's name; equal prefixes keep restarted static members in the same order."""
        if self.remote is not None:
            return self.remote.id
        return f"{self.instance_id or self.client_id or self.host}-{self.epoch}"


class GroupState(NamedTuple):
    """A group: its generation, its members by epoch, and the partitions assigned to each member.

    `incarnation` is the number of the transaction that made it, `slots` how many slots of its mapped file are in use,
    `reset_by` the number of the last transaction that reset any of them (0: none has). `emptied_ms` is when its last member
    left or was expelled, in ms since the epoch; 0 if it has never had any. `classic` are the members of remote clients that use
    Kafka's classic protocol, None if the group is not theirs: then it has no `members`. `share` are the settings of a share
    group, None if it is a consumer group."""

    name: str
    incarnation: int
    created_ms: int
    generation: int = 0
    assignor: str = ""
    slots: int = 0
    reset_by: int = 0
    emptied_ms: int = 0
    members: Mapping[int, Member] = MappingProxyType({})
    assignment: Mapping[int, tuple[TopicPartition, ...]] = MappingProxyType({})
    classic: ClassicState | None = None
    share: ShareSettings | None = None

    @property
    def has_classic_members(self) -> bool:
        """Had the group members of remote clients when its last generation was stored?"""
        return self.classic is not None and bool(self.classic.members)


def _fields(member: Member) -> dict[str, object]:
    """What is stored of a member. Versions that do not know `client_id` and `remote` read what has neither."""
    fields = member._asdict()
    if member.client_id is None:
        del fields["client_id"]
    if member.remote is None:
        del fields["remote"]
    else:
        fields["remote"] = member.remote._asdict()
    return fields


def _member(fields: dict[str, Any]) -> Member:
    remote = fields.get("remote")
    if remote is not None:
        fields["remote"] = RemoteMember(**{**remote, "names": tuple(remote["names"])})
    return Member(**{**fields, "topics": tuple(fields["topics"])})


def _encode(state: GroupState) -> bytes:
    content = {
        "incarnation": state.incarnation,
        "created_ms": state.created_ms,
        "generation": state.generation,
        "assignor": state.assignor,
        "slots": state.slots,
        "reset_by": state.reset_by,
        "emptied_ms": state.emptied_ms,
        "members": [_fields(member) for member in state.members.values()],
        "assignment": [[epoch, [list(each) for each in partitions]] for epoch, partitions in state.assignment.items()],
    }
    return with_checksum(state.name.encode(), json.dumps(content, separators=(",", ":")).encode())


def _decode(name: str, value: bytes) -> GroupState:
    content = checked(name.encode(), value)
    try:
        fields = json.loads(content)
        members = [_member(member) for member in fields.pop("members")]
        assignment = {
            epoch: tuple(TopicPartition(topic, partition) for topic, partition in partitions)
            for epoch, partitions in fields.pop("assignment")
        }
        return GroupState(name, members={member.epoch: member for member in members}, assignment=assignment, **fields)
    except (ValueError, KeyError, TypeError) as error:
        raise EventLogError(f"the catalog's entry for group {name!r} is damaged: {error}") from error


class GroupChange:
    """A transaction on one group. `state` is None while there is no such group; `number` is the transaction's. With `is_alone`
    nobody else changes anything meanwhile."""

    def __init__(
        self, environment: CatalogEnvironment, transaction: lmdb.Transaction, name: str, *, is_alone: bool = False
    ) -> None:
        self._environment = environment
        self._transaction = transaction
        self.name = name
        self.is_alone = is_alone
        self.number = int(transaction.id())
        content = transaction.get(name.encode(), db=environment.database(_DATABASE))
        self.state = None if content is None else _decode(name, bytes(content))
        if self.state is not None:
            remote = classic.find(transaction, environment, name)
            share = share_groups.find(transaction, environment, name)
            self.state = self.state._replace(classic=remote, share=share)

    def store(self, state: GroupState) -> None:
        """Replace the group's entry, or make it."""
        if self.state is None:
            note_change(self._transaction, self._environment)
        if state.classic != (None if self.state is None else self.state.classic):
            classic.store(self._transaction, self._environment, self.name, state.classic)
        if state.share != (None if self.state is None else self.state.share):
            share_groups.store(self._transaction, self._environment, self.name, state.share)
        self._transaction.put(self.name.encode(), _encode(state), db=self._environment.database(_DATABASE))
        self.state = state

    def delete(self) -> None:
        """Remove the group with its offsets."""
        self._transaction.delete(self.name.encode(), db=self._environment.database(_DATABASE))
        classic.store(self._transaction, self._environment, self.name, None)
        share_groups.store(self._transaction, self._environment, self.name, None)
        offsets.delete_all(self._transaction, self._environment, self.name)
        history.delete_all(self._transaction, self._environment, self.name)
        note_change(self._transaction, self._environment)
        self.state = None

    def partition_counts(self, topics: set[str]) -> dict[str, int]:
        """The number of partitions of each of these topics that exists."""
        return partition_counts(self._transaction, self._environment, topics)

    def offsets(self) -> dict[TopicPartition, StoredOffset]:
        """What the catalog has of the group's committed offsets."""
        found = offsets.find_all(self._transaction, self._environment, self.name)
        if self.state is not None and sorted(each.slot for each in found.values()) != list(range(self.state.slots)):
            raise EventLogError(f"the catalog is damaged: group {self.name!r} has lost offsets; restore it from a backup")
        return found

    def history(self, count: int | None) -> list[HistoryEntry]:
        """The last `count` entries of the group's history, the oldest first; None: all there are."""
        return history.find_last(self._transaction, self._environment, self.name, count)

    def note(self, kind: str, changes: Sequence[OffsetChange]) -> None:
        """Add to the group's history what this process has done to its committed offsets."""
        if changes:
            entry = HistoryEntry(0, now_ms(), kind, os.getpid(), os.uname().nodename, tuple(changes))
            history.append(self._transaction, self._environment, self.name, entry)

    def store_offset(self, partition: TopicPartition, stored: StoredOffset) -> None:
        """Replace one committed offset."""
        offsets.store(self._transaction, self._environment, self.name, partition, stored)

    def details(self, partition: TopicPartition) -> CommitDetails | None:
        """What a remote client has stored with the committed offset of a partition."""
        return commit_details.find(self._transaction, self._environment, offsets.key_of(self.name, partition))

    def store_details(self, partition: TopicPartition, details: CommitDetails) -> None:
        """Store what a remote client says of the committed offset of a partition."""
        commit_details.store(self._transaction, self._environment, offsets.key_of(self.name, partition), details)


def _names(transaction: lmdb.Transaction) -> list[str]:
    found = []
    for key, value in transaction.cursor():
        checked(bytes(key), bytes(value))
        found.append(bytes(key).decode())
    return found


class GroupCatalog:
    """Finds, lists and changes groups."""

    def __init__(self, environment: CatalogEnvironment) -> None:
        self._environment = environment

    def names(self) -> list[str]:
        """All names, sorted."""
        with self._environment.transaction(_DATABASE) as transaction:
            return _names(transaction)

    def read_all(self) -> Nested[list[GroupChange]]:
        """See all groups as they are at one moment, sorted by name."""
        return self._environment.transaction(
            _DATABASE, lambda transaction: [GroupChange(self._environment, transaction, name) for name in _names(transaction)]
        )

    def read(self, name: str) -> Nested[GroupChange]:
        """See a group, its offsets and its topics as they are at one moment."""
        return self._environment.transaction(_DATABASE, lambda transaction: GroupChange(self._environment, transaction, name))

    def change(self, name: str) -> Nested[GroupChange]:
        """Change a group; nobody else changes anything meanwhile, and on leaving it is on disk. An error undoes all."""
        return self._environment.transaction(
            _DATABASE, lambda transaction: GroupChange(self._environment, transaction, name, is_alone=True), write=True
        )

    def change_any(self) -> Nested[list[str]]:
        """All names; nobody else changes anything until the block is left."""
        return self._environment.transaction(_DATABASE, _names, write=True)

    def find(self, name: str) -> GroupState | None:
        """A group by its name."""
        with self.read(name) as found:
            return found.state
