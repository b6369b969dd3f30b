"""Transactional producers in the catalog: one entry for each transactional id, JSON as value.

    key     the transactional id, or 0x00 and its SHA-256 if it is too long for a key
    value   JSON: the fields of `TransactionState`

The entry decides how a transaction ends: once it is in the state PrepareCommit or PrepareAbort, whoever finds it there ends
the transaction in that way. Source of the states: Kafka's TransactionState.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

import lmdb

from eventlog.catalog.environment import TRANSACTIONS, CatalogEnvironment
from eventlog.catalog.topics import partition_counts
from eventlog.catalog.values import checked, with_checksum
from eventlog.errors import EventLogError
from eventlog.nesting import Nested
from eventlog.records.record import TopicPartition

EMPTY, ONGOING = "Empty", "Ongoing"
PREPARE_COMMIT, PREPARE_ABORT = "PrepareCommit", "PrepareAbort"
COMPLETE_COMMIT, COMPLETE_ABORT = "CompleteCommit", "CompleteAbort"
PREPARED = (PREPARE_COMMIT, PREPARE_ABORT)

NO_EPOCH = -1
_KEY_BYTES_MAX = 400  # LMDB's limit is 511


class PendingOffset(NamedTuple):
    """An offset to be committed together with a transaction. `owner` is the epoch of the member that must still own the
    partition then; None: nobody has to."""

    offset: int
    leader_epoch: int = -1
    metadata: str = ""
    owner: int | None = None


Offsets = Mapping[str, Mapping[TopicPartition, PendingOffset]]
"""Pending offsets by group and partition."""


class TransactionState(NamedTuple):
    """A transactional producer, and its transaction.

    The producer has the id `producer_id` in this `epoch`; `last_epoch` is the one before, by which a producer that did not get
    the answer asks again, or -1. `partitions` belong to the transaction, and `groups` have sent offsets, or are going to. While
    a process uses it embedded, `owner` is its presence; 0: the producer is a client somewhere else. `position` is what the
    producer has stored with its last committed transaction, `pending_position` with the current one. Times are in ms since the
    epoch; `started_ms` is 0 while nothing belongs to the transaction."""

    transactional_id: str
    producer_id: int
    epoch: int
    timeout_ms: int
    state: str = EMPTY
    last_epoch: int = NO_EPOCH
    partitions: frozenset[TopicPartition] = frozenset()
    groups: frozenset[str] = frozenset()
    offsets: Offsets = MappingProxyType({})
    owner: int = 0
    started_ms: int = 0
    updated_ms: int = 0
    position: bytes | None = None
    pending_position: bytes | None = None

    @property
    def is_open(self) -> bool:
        """Is there a transaction that has not ended completely?"""
        return self.state in (ONGOING, *PREPARED)


def _key(transactional_id: str) -> bytes:
    name = transactional_id.encode()
    return name if len(name) <= _KEY_BYTES_MAX and not name.startswith(b"\0") else b"\0" + hashlib.sha256(name).digest()


def _text(value: bytes | None) -> str | None:
    return None if value is None else base64.b64encode(value).decode()


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else base64.b64decode(text)


def _encode(state: TransactionState) -> bytes:
    content = state._asdict()
    content["partitions"] = sorted(state.partitions)
    content["groups"] = sorted(state.groups)
    content["offsets"] = [
        [group, [[*partition, *pending] for partition, pending in sorted(offsets.items())]]
        for group, offsets in sorted(state.offsets.items())
    ]
    content["position"], content["pending_position"] = _text(state.position), _text(state.pending_position)
    return with_checksum(_key(state.transactional_id), json.dumps(content, separators=(",", ":")).encode())


def _decode(key: bytes, value: bytes) -> TransactionState:
    content = checked(key, value)
    try:
        fields = json.loads(content)
        fields["partitions"] = frozenset(TopicPartition(*each) for each in fields["partitions"])
        fields["groups"] = frozenset(fields["groups"])
        fields["offsets"] = {
            group: {TopicPartition(topic, number): PendingOffset(*pending) for topic, number, *pending in offsets}
            for group, offsets in fields["offsets"]
        }
        fields["position"], fields["pending_position"] = _bytes(fields["position"]), _bytes(fields["pending_position"])
        return TransactionState(**fields)
    except (ValueError, KeyError, TypeError) as error:
        raise EventLogError(f"the catalog's entry for transactional id {key!r} is damaged: {error}") from error


def _without_topic(offsets: Offsets, topic: str) -> Offsets:
    return {
        group: {partition: pending for partition, pending in of_group.items() if partition.topic != topic}
        for group, of_group in offsets.items()
    }


class TransactionChange:
    """A change of one entry. `state` is None while there is none; `number` is that of the catalog's transaction."""

    def __init__(self, environment: CatalogEnvironment, transaction: lmdb.Transaction, transactional_id: str) -> None:
        self._environment = environment
        self._transaction = transaction
        self._entry = _key(transactional_id)
        self.transactional_id = transactional_id
        self.number = int(transaction.id())
        value = transaction.get(self._entry, db=environment.database(TRANSACTIONS))
        self.state = None if value is None else _decode(self._entry, bytes(value))

    def store(self, state: TransactionState) -> None:
        """Replace the entry, or make it."""
        self._transaction.put(self._entry, _encode(state), db=self._environment.database(TRANSACTIONS))
        self.state = state

    def has_topic(self, name: str) -> bool:
        """Is there a topic of this name?"""
        return bool(partition_counts(self._transaction, self._environment, {name}))

    def delete(self) -> None:
        """Remove the entry."""
        self._transaction.delete(self._entry, db=self._environment.database(TRANSACTIONS))
        self.state = None


class TransactionCatalog:
    """Finds, lists and changes transactional producers."""

    def __init__(self, environment: CatalogEnvironment) -> None:
        self._environment = environment

    def change(self, transactional_id: str) -> Nested[TransactionChange]:
        """Change an entry; nobody else changes anything meanwhile, and on leaving it is on disk. An error undoes all."""
        return self._environment.transaction(
            TRANSACTIONS, lambda transaction: TransactionChange(self._environment, transaction, transactional_id), write=True
        )

    def find(self, transactional_id: str) -> TransactionState | None:
        """An entry by its transactional id."""
        with self._environment.transaction(TRANSACTIONS) as transaction:
            return TransactionChange(self._environment, transaction, transactional_id).state

    def all(self) -> list[TransactionState]:
        """All entries, sorted by transactional id."""
        if not self._environment.has_database(TRANSACTIONS):
            return []
        with self._environment.transaction(TRANSACTIONS) as transaction:
            found = [_decode(bytes(key), bytes(value)) for key, value in transaction.cursor()]
        return sorted(found, key=lambda state: state.transactional_id)

    def states_alone(self) -> Nested[list[TransactionState]]:
        """All entries, while nobody else changes anything. The block must be short."""
        return self._environment.transaction(
            TRANSACTIONS,
            lambda transaction: [_decode(bytes(key), bytes(value)) for key, value in transaction.cursor()],
            write=True,
        )

    def forget_topic(self, name: str) -> None:
        """Remove the offsets of a topic from all transactions, which would else commit them for the next topic of its name."""
        if not self._has_entries():
            return
        with self._environment.transaction(TRANSACTIONS, write=True) as transaction:
            states = [_decode(bytes(key), bytes(value)) for key, value in transaction.cursor()]
            for state in states:
                left = _without_topic(state.offsets, name)
                if left != state.offsets:
                    change = TransactionChange(self._environment, transaction, state.transactional_id)
                    change.store(state._replace(offsets=left))

    def pending(self, group: str) -> set[TopicPartition]:
        """The partitions for which an open transaction has offsets of this group; it waits for whoever is about to decide."""
        return {partition for each in self.with_offsets_of(group) for partition in each.offsets[group]}

    def _has_entries(self) -> bool:
        with self._environment.transaction(TRANSACTIONS) as transaction:
            return bool(transaction.stat(self._environment.database(TRANSACTIONS))["entries"])

    def with_offsets_of(self, group: str) -> list[TransactionState]:
        """The open transactions that have offsets of this group. It waits for whoever is about to decide one."""
        if not self._has_entries():
            return []
        with self.states_alone() as states:
            pass
        return [each for each in states if each.is_open and group in each.offsets]
