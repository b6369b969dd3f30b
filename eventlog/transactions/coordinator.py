"""How transactions begin and end. Each step is one transaction of the catalog, which any process may run.

    add partitions, offsets     the catalog knows where records of the transaction may be, before any is appended
    prepare                     the records are flushed; then the catalog decides between commit and abort
    write markers               each partition gets a control batch, which makes the records visible, or hides them for good
    complete                    the markers are flushed; the offsets are committed, and the catalog says that all is done

There is no coordinator process. Whoever finds a prepared transaction completes it, because all it takes is in the catalog; who
does so holds a lock that vanishes with its process. A producer that was replaced has an epoch that is over: neither the catalog
nor a partition accepts anything of it. Source of the states and epochs: Kafka's TransactionMetadata.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import NamedTuple

from eventlog.catalog.transactions import (
    COMPLETE_ABORT,
    COMPLETE_COMMIT,
    EMPTY,
    NO_EPOCH,
    ONGOING,
    PREPARE_ABORT,
    PREPARE_COMMIT,
    PREPARED,
    Offsets,
    PendingOffset,
    TransactionChange,
    TransactionState,
)
from eventlog.clock import now_ms
from eventlog.errors import (
    EventLogError,
    LockTimeoutError,
    ProducerFencedError,
    TopicNotFoundError,
    TransactionStateError,
)
from eventlog.groups.registry import Groups
from eventlog.holding import Holding
from eventlog.records.record import TopicPartition
from eventlog.storage.partition.log import PartitionLog
from eventlog.storage.segments import names
from eventlog.storage.segments.file_locks import locked_byte
from eventlog.transactions.offsets import Owners, commit_offsets
from eventlog.transactions.producer_ids import ProducerIds

EPOCH_MAX = 2**15 - 2  # one is left for a marker that fences the last producer
_COORDINATOR_EPOCH = 0  # a broker's partition leader compares it with that of an earlier coordinator; here there is only one


class UnknownProducerError(ProducerFencedError):
    """A transactional id does not exist, or belongs to another producer id."""


class EndingError(TransactionStateError):
    """A transaction is being ended just now: what belongs to the next one has to wait."""


class Identity(NamedTuple):
    """What a producer says about itself with each step."""

    transactional_id: str
    producer_id: int
    epoch: int


Announce = Callable[[int], None]


class TransactionCoordinator:
    """Runs the steps. Safe for several threads; each of them may wait for the disk, and for other processes."""

    def __init__(self, groups: Groups, producer_ids: ProducerIds) -> None:
        self._groups = groups
        self._store = groups.store
        self._catalog = groups.store.catalog.transactions
        self._producer_ids = producer_ids

    # --- beginning -----------------------------------------------------------------------------------------

    def init(
        self,
        transactional_id: str,
        timeout_ms: int,
        *,
        expected: tuple[int, int] | None = None,
        announce: Announce | None = None,
    ) -> TransactionState:
        """Give the transactional id to a producer, in a new epoch. An earlier producer of this id is fenced, and its
        transaction aborted, or completed if that was decided.

        `expected` are the id and the epoch that the producer had, if it wants to go on (KIP-360). `announce` gets a number by
        which this process is found to be alive, for a producer inside it. Raises `ProducerFencedError`."""
        new_id = self._producer_ids.new()  # before the transaction, because it may take one of its own
        with self._ending(transactional_id):
            while True:
                fenced = self._settle(transactional_id, expected)
                with self._catalog.change(transactional_id) as change:
                    if change.state is not None and change.state.is_open:
                        continue  # the former producer has begun another one meanwhile
                    state = _renewed(change, timeout_ms, new_id, expected, fenced)
                    if announce is not None:
                        announce(change.number)
                        state = state._replace(owner=change.number)
                    change.store(state)
                    return state

    def _settle(self, transactional_id: str, expected: tuple[int, int] | None) -> int | None:
        """End what is open. Returns the epoch in which this has aborted a transaction, and in which nobody has appended; None
        if there was none to abort: a producer that has aborted by itself, and died as it did so, has used its epoch."""
        found = self._catalog.find(transactional_id)
        if found is None or not found.is_open:
            return None
        _check_expected(found, expected)
        state = self._fence(found, NO_EPOCH if expected is None else expected[1]) if found.state == ONGOING else found
        if state.state in PREPARED:
            self._complete(state)
        return state.epoch if state.epoch != found.epoch else None

    def _fence(self, before: TransactionState, last_epoch: int = NO_EPOCH) -> TransactionState:
        """Decide that an open transaction is aborted, in a new epoch, so that its producer cannot go on; or only by asking
        again for the new one, if it has asked itself in `last_epoch`, and this process dies before it has answered."""
        with self._catalog.change(before.transactional_id) as change:
            state = change.state
            assert state is not None
            if state.state == ONGOING and (state.producer_id, state.epoch) == (before.producer_id, before.epoch):
                state = state._replace(
                    state=PREPARE_ABORT, epoch=state.epoch + 1, last_epoch=last_epoch, offsets={}, pending_position=None
                )
                change.store(state)
            return state

    def add_partitions(self, producer: Identity, partitions: Iterable[TopicPartition]) -> None:
        """Records may be appended to these partitions once this has returned. Raises `ProducerFencedError`."""
        added = frozenset(partitions)
        with self._catalog.change(producer.transactional_id) as change:
            state = _begun(change, producer)
            if not (state is change.state and added <= state.partitions):
                change.store(state._replace(partitions=state.partitions | added))

    def add_group(self, producer: Identity, group: str) -> None:
        """Offsets of this group may be sent. Raises `ProducerFencedError`."""
        with self._catalog.change(producer.transactional_id) as change:
            state = _begun(change, producer)
            change.store(state._replace(groups=state.groups | {group}))

    def add_offsets(
        self,
        producer: Identity,
        group: str,
        offsets: Mapping[TopicPartition, PendingOffset],
        check: Callable[[], None] = lambda: None,
    ) -> None:
        """Commit these offsets of the group if the transaction is committed. `check` is called while nobody else can change the
        catalog, and raises an error to add nothing. Raises `ProducerFencedError`, `TransactionStateError`."""
        with self._catalog.change(producer.transactional_id) as change:
            check()
            state = _checked(change, producer)
            if state.state != ONGOING or group not in state.groups:
                what = f"group {group!r} does not belong to a transaction of {producer.transactional_id!r}"
                raise TransactionStateError(what)
            merged = {**state.offsets, group: {**state.offsets.get(group, {}), **offsets}}
            change.store(state._replace(offsets=merged))

    def check_may_append(self, producer: Identity, partition: TopicPartition) -> None:
        """Raise `ProducerFencedError` or `TransactionStateError` unless the partition belongs to the open transaction."""
        state = _of(self._catalog.find(producer.transactional_id), producer)
        if state.state != ONGOING or partition not in state.partitions:
            raise TransactionStateError(f"{partition} does not belong to a transaction of {producer.transactional_id!r}")

    # --- ending --------------------------------------------------------------------------------------------

    def end(
        self, producer: Identity, *, commit: bool, offsets: Offsets | None = None, position: bytes | None = None
    ) -> None:
        """Commit or abort the transaction; if that is already done, do nothing.

        `offsets` are committed besides those that were added before, and `position` is stored for the producer, both only with
        the transaction. Raises `ProducerFencedError`, `TransactionStateError`, `StaleMemberError` (then it is still open)."""
        with self._ending(producer.transactional_id):
            state = self._prepare(producer, commit, offsets or {}, position)
            if state is not None:
                self._complete(state)

    def _prepare(
        self, producer: Identity, commit: bool, offsets: Offsets, position: bytes | None
    ) -> TransactionState | None:
        """Decide how the transaction ends, unless that is decided; None if it has already ended this way."""
        flushed: frozenset[TopicPartition] = frozenset()
        brings_own = bool(offsets) or position is not None
        owners = Owners(self._groups, offsets)
        while True:
            known = self._catalog.find(producer.transactional_id)
            if commit and known is not None:
                self._flush(known.partitions)  # a committed transaction is never one that a power cut has left in part
                flushed = known.partitions
            with self._catalog.change(producer.transactional_id) as change:
                state = _checked(change, producer)
                if state.state != ONGOING and not (brings_own and not state.is_open):
                    return _already_decided(state, commit)
                if commit and not state.partitions <= flushed:
                    continue
                state = _with_own(state, offsets, position)
                if commit:
                    owners.check()
                    state = state._replace(state=PREPARE_COMMIT)
                else:
                    state = state._replace(state=PREPARE_ABORT, offsets={}, pending_position=None)
                change.store(state._replace(updated_ms=now_ms()))
                return state

    def _complete(self, state: TransactionState) -> TransactionState:
        """Do what was decided; returns the state then. The caller holds the lock."""
        commit = state.state == PREPARE_COMMIT
        self._tell_groups(state)
        self._write_markers(state, commit=commit)
        self._flush(state.partitions)  # afterwards nobody knows any more what to write
        if commit:
            commit_offsets(self._groups, state.offsets)
        done = state._replace(
            state=COMPLETE_COMMIT if commit else COMPLETE_ABORT,
            partitions=frozenset(), groups=frozenset(), offsets={}, started_ms=0, updated_ms=now_ms(),
            position=state.pending_position if commit and state.pending_position is not None else state.position,
            pending_position=None,
        )  # fmt: skip
        with self._catalog.change(state.transactional_id) as change:
            change.store(done)
        return done

    def _tell_groups(self, state: TransactionState) -> None:
        """Wake the members that wait until it is decided how the transaction ends: they complete it themselves if they are
        faster, or if this process dies."""
        for name in {*state.groups, *state.offsets}:
            table = self._groups.find(name)
            if table is not None:
                table.acks.announce(table.acks.generation)

    def _write_markers(self, state: TransactionState, *, commit: bool) -> None:
        """In all partitions; a failure in one is raised once the others are done."""
        failures: list[EventLogError] = []
        for log in self._logs(state.partitions):
            try:
                log.append_marker(state.producer_id, state.epoch, _COORDINATOR_EPOCH, commit=commit)
            except TopicNotFoundError:
                continue  # it was deleted meanwhile
            except EventLogError as error:
                failures.append(error)
        if failures:
            raise failures[0]

    def finish(self, transactional_id: str) -> TransactionState | None:
        """Complete a transaction of which it is decided how it ends, if there is one; returns its state then."""
        with self._ending(transactional_id):
            state = self._catalog.find(transactional_id)
            return self._complete(state) if state is not None and state.state in PREPARED else state

    def finish_offsets(self, group: str) -> frozenset[TopicPartition]:
        """Complete the transactions that are going to commit offsets of this group: a member that has just taken a partition
        must not begin before them. Returns the partitions of which undecided ones have offsets that they commit in any case;
        the others find, when they are decided, that their member has lost the partition."""
        found = self._catalog.with_offsets_of(group)
        for state in found:
            if state.state == PREPARE_COMMIT:
                self.finish(state.transactional_id)
        undecided = [state.offsets[group] for state in found if state.state == ONGOING]
        return frozenset(
            partition for offsets in undecided for partition, pending in offsets.items() if pending.owner is None
        )

    def abort(self, transactional_id: str) -> bool:
        """Abort a transaction, and fence its producer; one that is already being ended is completed. Returns whether there was
        an open one."""
        with self._ending(transactional_id):
            return self._end_open(transactional_id)

    def _end_open(self, transactional_id: str) -> bool:
        state = self._catalog.find(transactional_id)
        if state is None or not state.is_open:
            return False
        if state.state == ONGOING:
            state = self._fence(state)
        if state.state in PREPARED:
            self._complete(state)
        return True

    # --- what nobody else ends -----------------------------------------------------------------------------

    def attend(self, now: int) -> bool:
        """End the transactions of which nobody else takes care: those that are prepared, those that take longer than their
        timeout, and those of processes that are gone. Returns whether any is still open."""
        is_any_open = False
        for state in self._catalog.all():
            if self._wants_end(state, now):
                with suppress(LockTimeoutError), self._ending(state.transactional_id, 0):  # else somebody is ending it
                    current = self._catalog.find(state.transactional_id)
                    if current is not None and self._wants_end(current, now):
                        self._end_open(state.transactional_id)
                        continue
            is_any_open = is_any_open or state.is_open
        return is_any_open

    def _wants_end(self, state: TransactionState, now: int) -> bool:
        if state.state != ONGOING:
            return state.state in PREPARED
        is_late = now - state.started_ms > state.timeout_ms
        return is_late or (state.owner != 0 and not self._groups.coordinator.presence.is_alive(state.owner))

    def abort_hanging(self, log: PartitionLog, *, idle_ms: int = 0) -> list[int]:
        """Abort the transactions in a partition of which the catalog knows nothing, and to which nothing was added for
        `idle_ms`; returns their producer ids. A producer that was fenced may have begun one, or a broker from which the
        partition was copied."""
        if log.stable_offset == log.end_offset:
            return []
        partition = TopicPartition(log.topic, log.partition)
        hanging = []
        for producer in log.producers():
            if producer.transaction_start is None or now_ms() - producer.last_timestamp < idle_ms:
                continue
            with self._catalog.states_alone() as states:  # nobody can begin a transaction meanwhile
                if not any(_is_known(state, producer.producer_id, producer.epoch, partition) for state in states):
                    log.append_marker(producer.producer_id, producer.epoch, _COORDINATOR_EPOCH, commit=False)
                    hanging.append(producer.producer_id)
        return hanging

    def forget_unused(self, now: int, unused_ms: int) -> list[str]:
        """Remove the entries of producers that have done nothing for so long; returns their transactional ids."""
        forgotten = []
        for state in self._catalog.all():
            if _is_unused(state, now, unused_ms):
                with self._catalog.change(state.transactional_id) as change:
                    if change.state is not None and _is_unused(change.state, now, unused_ms):
                        change.delete()
                        forgotten.append(state.transactional_id)
        return forgotten

    def _ending(self, transactional_id: str, timeout_ms: int | None = None) -> Holding[None]:
        """Only one thread of all processes ends a transaction: a second one, however late, could end the next transaction."""
        return locked_byte(
            names.transactions_file(self._store.path),
            zlib.crc32(transactional_id.encode()),
            self._store.options.lock_timeout_ms if timeout_ms is None else timeout_ms,
            f"has been ending a transaction of {transactional_id!r}",
        )

    def _logs(self, partitions: Iterable[TopicPartition]) -> list[PartitionLog]:
        """Those of partitions that were not deleted."""
        found = []
        for partition in sorted(partitions):
            with suppress(TopicNotFoundError):
                found.append(self._store.partitions.open(*partition).log)
        return found

    def _flush(self, partitions: Iterable[TopicPartition]) -> None:
        if self._store.options.fsync != "never":
            for log in self._logs(partitions):
                with suppress(TopicNotFoundError):
                    log.flush()


def _is_known(state: TransactionState, producer_id: int, epoch: int, partition: TopicPartition) -> bool:
    is_producer = (state.producer_id, state.epoch) == (producer_id, epoch) or (
        state.producer_id == producer_id and state.state == PREPARE_ABORT  # in the epoch that fences the producer
    )
    return is_producer and state.is_open and partition in state.partitions


def _is_unused(state: TransactionState, now: int, unused_ms: int) -> bool:
    return not state.is_open and state.position is None and now - state.updated_ms > unused_ms


def _of(state: TransactionState | None, producer: Identity) -> TransactionState:
    """The state of this producer. Raises `ProducerFencedError`."""
    if state is None or state.producer_id != producer.producer_id:
        raise UnknownProducerError(
            f"transactional id {producer.transactional_id!r} does not belong to producer {producer.producer_id}"
        )
    if state.epoch != producer.epoch:
        raise fenced(producer.transactional_id)
    return state


def fenced(transactional_id: str) -> ProducerFencedError:
    """The error for a producer whose epoch is over."""
    return ProducerFencedError(
        f"the producer of transactional id {transactional_id!r} is fenced: another one uses this id now, or its transaction "
        "took longer than its timeout and was aborted; close it, and create another one to go on"
    )


def _checked(change: TransactionChange, producer: Identity) -> TransactionState:
    return _of(change.state, producer)


def _begun(change: TransactionChange, producer: Identity) -> TransactionState:
    """The state in an open transaction, which begins now unless it has begun. Raises `ProducerFencedError`,
    `TransactionStateError`."""
    state = _checked(change, producer)
    if state.state in PREPARED:
        raise EndingError(f"a transaction of {producer.transactional_id!r} is being ended: try again")
    if state.state == ONGOING:
        return state
    now = now_ms()
    return state._replace(state=ONGOING, started_ms=now, updated_ms=now)


def _already_decided(state: TransactionState, commit: bool) -> TransactionState | None:
    """What is left to do of a transaction that is decided, None for nothing. Raises `TransactionStateError` if it was decided
    otherwise, or there is none."""
    if state.state == (PREPARE_COMMIT if commit else PREPARE_ABORT):
        return state
    if state.state == (COMPLETE_COMMIT if commit else COMPLETE_ABORT):
        return None
    raise TransactionStateError(
        f"{state.transactional_id!r} cannot {'commit' if commit else 'abort'} a transaction: its state is {state.state}"
    )


def _with_own(state: TransactionState, offsets: Offsets, position: bytes | None) -> TransactionState:
    merged = {group: {**state.offsets.get(group, {}), **of_group} for group, of_group in offsets.items()}
    pending = position if position is not None else state.pending_position
    return state._replace(offsets={**state.offsets, **merged}, pending_position=pending)


def _check_expected(state: TransactionState, expected: tuple[int, int] | None) -> None:
    """Raise `ProducerFencedError` if the producer that wants to go on is not the one that may."""
    if expected is not None and (
        state.producer_id != expected[0] or expected[1] not in (state.epoch, state.last_epoch) or expected[1] == NO_EPOCH
    ):
        raise ProducerFencedError(
            f"the producer of transactional id {state.transactional_id!r} is fenced: its epoch {expected[1]} is over"
        )


def _renewed(
    change: TransactionChange, timeout_ms: int, new_id: int, expected: tuple[int, int] | None, fenced: int | None
) -> TransactionState:
    """The state for a producer that begins. `fenced` is the epoch by which a transaction was aborted just now: it is new."""
    state = change.state
    if state is None:
        return TransactionState(change.transactional_id, new_id, 0, timeout_ms, updated_ms=now_ms())
    if fenced is None:
        _check_expected(state, expected)
    renewed = state._replace(state=EMPTY, timeout_ms=timeout_ms, owner=0, updated_ms=now_ms())
    if fenced == state.epoch <= EPOCH_MAX:
        return renewed._replace(last_epoch=NO_EPOCH if expected is None else expected[1])
    if expected is not None and fenced is None and expected[1] == state.last_epoch and state.epoch <= EPOCH_MAX:
        return renewed  # the answer to the same request was lost
    if state.epoch >= EPOCH_MAX:
        return renewed._replace(producer_id=new_id, epoch=0, last_epoch=NO_EPOCH)
    last = state.epoch if expected is not None else NO_EPOCH
    return renewed._replace(epoch=state.epoch + 1, last_epoch=last)
