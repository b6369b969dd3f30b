"""How transactions begin and end. Each step is one transaction of the catalog, which any process may run.

    add partitions, offsets     the catalog knows where records of the transaction may be, before any is appended
    prepare                     the records are flushed; then the catalog decides between commit and abort
    write markers               each partition gets a control batch, which makes the records visible, or hides them for good
    complete                    the markers are flushed; the offsets are committed, and the catalog says that all is done

There is no coordinator process. Whoever finds a prepared transaction completes it, because all it takes is in the catalog; who
does so holds a lock that vanishes with its process. A producer that was replaced has an epoch that is over: neither the catalog
nor a partition accepts anything of it. `states.py` has the rules.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress

from eventlog.catalog.transactions import (
    COMPLETE_ABORT,
    COMPLETE_COMMIT,
    NO_EPOCH,
    ONGOING,
    PREPARE_ABORT,
    PREPARE_COMMIT,
    PREPARED,
    Offsets,
    PendingOffset,
    TransactionState,
)
from eventlog.clock import now_ms
from eventlog.errors import EventLogError, LockTimeoutError, TopicNotFoundError, TransactionStateError
from eventlog.groups.registry import Groups
from eventlog.holding import Holding
from eventlog.logs import logger
from eventlog.records.record import TopicPartition
from eventlog.storage.partition.log import PartitionLog
from eventlog.storage.segments import names
from eventlog.storage.segments.file_locks import locked_byte
from eventlog.transactions.offsets import Owners, commit_offsets
from eventlog.transactions.producer_ids import ProducerIds
from eventlog.transactions.states import (
    Identity,
    begun,
    check_expected,
    is_known,
    is_unused,
    left_to_do,
    renewed,
    state_of,
    with_own,
)

_COORDINATOR_EPOCH = 0  # a broker's partition leader compares it with that of an earlier coordinator; here there is only one

_log = logger("transactions")

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
                fencing_epoch = self._settle(transactional_id, expected)
                with self._catalog.change(transactional_id) as change:
                    if change.state is not None and change.state.is_open:
                        continue  # the former producer has begun another one meanwhile
                    if change.state is None:
                        state = TransactionState(transactional_id, new_id, 0, timeout_ms, updated_ms=now_ms())
                    else:
                        state = renewed(change.state, timeout_ms, new_id, expected, fencing_epoch)
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
        check_expected(found, expected)
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
            state = begun(change.state, producer)
            if not (state is change.state and added <= state.partitions):
                change.store(state._replace(partitions=state.partitions | added))

    def add_group(self, producer: Identity, group: str) -> None:
        """Offsets of this group may be sent. Raises `ProducerFencedError`."""
        with self._catalog.change(producer.transactional_id) as change:
            state = begun(change.state, producer)
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
            state = state_of(change.state, producer)
            if state.state != ONGOING or group not in state.groups:
                what = f"group {group!r} does not belong to a transaction of {producer.transactional_id!r}"
                raise TransactionStateError(what)
            for topic in {partition.topic for partition in offsets}:
                if not change.has_topic(topic):  # deleted just now: nobody would remove its offsets again
                    raise TopicNotFoundError(f"there is no topic {topic!r}")
            merged = {**state.offsets, group: {**state.offsets.get(group, {}), **offsets}}
            change.store(state._replace(offsets=merged))

    def check_may_append(self, producer: Identity, partition: TopicPartition) -> None:
        """Raise `ProducerFencedError` or `TransactionStateError` unless the partition belongs to the open transaction."""
        state = state_of(self._catalog.find(producer.transactional_id), producer)
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
                state = state_of(change.state, producer)
                if state.state != ONGOING and not (brings_own and not state.is_open):
                    return left_to_do(state, commit)
                if commit and not state.partitions <= flushed:
                    continue
                state = with_own(state, offsets, position)
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
            commit_offsets(self._groups, lambda: self._offsets_of(state))
        done = state._replace(
            state=COMPLETE_COMMIT if commit else COMPLETE_ABORT,
            partitions=frozenset(), groups=frozenset(), offsets={}, started_ms=0, updated_ms=now_ms(),
            position=state.pending_position if commit and state.pending_position is not None else state.position,
            pending_position=None,
        )  # fmt: skip
        with self._catalog.change(state.transactional_id) as change:
            change.store(done)
        return done

    def _offsets_of(self, prepared: TransactionState) -> Offsets:
        """What a transaction is going to commit by now: topics may have been deleted since it was decided."""
        found = self._catalog.find(prepared.transactional_id)
        return prepared.offsets if found is None else found.offsets

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
                        _tell_ended(current, now)
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
                if not any(is_known(state, producer.producer_id, producer.epoch, partition) for state in states):
                    log.append_marker(producer.producer_id, producer.epoch, _COORDINATOR_EPOCH, commit=False)
                    hanging.append(producer.producer_id)
        return hanging

    def forget_unused(self, now: int, unused_ms: int) -> list[str]:
        """Remove the entries of producers that have done nothing for so long; returns their transactional ids."""
        forgotten = []
        for state in self._catalog.all():
            if is_unused(state, now, unused_ms):
                with self._catalog.change(state.transactional_id) as change:
                    if change.state is not None and is_unused(change.state, now, unused_ms):
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


def _tell_ended(state: TransactionState, now: int) -> None:
    if state.state != ONGOING:
        _log.info("transaction of %s: completed for a process that did not", state.transactional_id)
    elif now - state.started_ms > state.timeout_ms:
        _log.warning("transaction of %s: aborted, because it took more than %d ms", state.transactional_id, state.timeout_ms)
    else:
        _log.warning("transaction of %s: aborted, because its process is gone", state.transactional_id)
