"""A producer whose records become visible in transactions: together with the others and the offsets, or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

from eventlog._native import BaseProducer, Gathered
from eventlog.catalog.transactions import PendingOffset
from eventlog.clock import Time
from eventlog.errors import (
    EventLogError,
    InvalidTypeError,
    ProducerFencedError,
    StoreClosedError,
    TransactionStateError,
    stands_in_for,
)
from eventlog.groups.registry import Groups
from eventlog.log import Log
from eventlog.options import check_number, check_text
from eventlog.producer.partition_sender import PartitionSender
from eventlog.producer.producer import Producer
from eventlog.producer.receipt import Receipt
from eventlog.producer.sequences import Sequences
from eventlog.producer.transaction import Transaction, given_offsets
from eventlog.records.batch import Headers
from eventlog.records.record import TopicPartition
from eventlog.transactions.consuming import TransactionConsumer
from eventlog.transactions.states import Identity, fenced
from eventlog.transactions.transactions import Transactions

_TIMEOUT_MS_MAX = 15 * 60 * 1000
_ID_CHARACTERS_MAX = 1000


class TransactionalProducer(Producer):
    """Sends records in transactions. Created by `EventLog.producer(transactional_id=...)`.

    One thread begins and ends transactions; others may send in between. Records wait until a partition has a batch of them, or
    until the transaction is committed. Consumers see them, and the committed offsets, once `commit` has returned, unless they
    ask for uncommitted records. A newer producer of the same `transactional_id`, in any process, ends what this one has begun,
    and from then on everything here raises `ProducerFencedError`."""

    def __init__(
        self,
        log: Log,
        groups: Groups,
        transactions: Transactions,
        transactional_id: str,
        *,
        timeout_ms: int,
        compression: str | None,
        batch_bytes: int,
        auto_create_topics: bool,
    ) -> None:
        check_text("transactional_id", transactional_id, _ID_CHARACTERS_MAX)
        check_number("transaction_timeout_ms", timeout_ms, 1, _TIMEOUT_MS_MAX)
        self.transactional_id = transactional_id
        self._coordinator = transactions.coordinator
        self._presence = groups.coordinator.presence
        self._is_begun = False
        self._is_known = False  # to the catalog
        self._added: set[TopicPartition] = set()
        self._offsets: dict[str, dict[TopicPartition, PendingOffset]] = {}
        self._pending_position: bytes | None = None
        self._consumers: tuple[TransactionConsumer, ...] = ()
        self._unfinished_end = ""  # "commit" or "abort", from when it begins
        transactions.attend()
        state = self._coordinator.init(transactional_id, timeout_ms, announce=self._presence.announce)
        self._owner = state.owner
        self._identity = Identity(transactional_id, state.producer_id, state.epoch)
        self._position = state.position
        super().__init__(
            log,
            groups,
            compression=compression,
            linger_ms=0,
            batch_bytes=batch_bytes,
            auto_create_topics=auto_create_topics,
            sequences=Sequences(
                log, state.producer_id, state.epoch, is_transactional=True, before_append=self._add_partitions
            ),
        )  # fmt: skip

    def __repr__(self) -> str:
        return f"<TransactionalProducer {self.transactional_id!r} of {self._log!r}>"

    @property
    def is_in_transaction(self) -> bool:
        """Was a transaction begun, and neither committed nor aborted?"""
        return self._is_begun

    # --- in a transaction ----------------------------------------------------------------------------------

    @stands_in_for(BaseProducer.send)
    def _send(
        self,
        topic: str,
        value: bytes | None,
        key: bytes | None = None,
        headers: Headers | None = None,
        partition: int | None = None,
        timestamp: Time | None = None,
    ) -> Receipt:
        self._check_begun("send a record")
        return super()._send(topic, value, key, headers, partition, timestamp)

    def _see_to(self, sender: PartitionSender, batch: Gathered) -> None:
        """The record waits for a full batch, or for the end of the transaction."""

    def _append_waiting(self) -> None:
        """Append what waits. Raises what appending raises, once all partitions had their turn, and the reasons for which
        records were refused."""
        failures: list[BaseException] = []
        for sender in self._senders():
            try:
                sender.append_waiting()
            except ProducerFencedError as error:
                why = fenced(self.transactional_id)
                self._fence(why)
                raise why from error
            except EventLogError as error:
                failures.append(error)
        self._raise(failures)

    def _add_partitions(self, partition: TopicPartition) -> None:
        """Before a batch is appended: the catalog has to know where the records of the transaction are. One change of it
        serves all partitions for which records wait."""
        if partition not in self._added:
            self._is_known = True
            waiting = {sender.topic_partition for sender in self._senders() if sender.has_waiting} | {partition}
            self._coordinator.add_partitions(self._identity, waiting - self._added)
            self._added |= waiting

    def send_offsets(
        self, consumer: TransactionConsumer | Mapping[TopicPartition, int], *, group: str | None = None
    ) -> None:
        """Commit the positions of a consumer, one in a group and without auto_commit, together with this transaction; or, with
        `group`, the given offset of each partition.

        The positions are those of now, as `Consumer.commit` would commit them. Raises `InvalidArgumentError`,
        `TransactionStateError`; and `commit` raises `StaleMemberError` if one of the partitions belongs to another member by
        then."""
        self._check_begun("send offsets")
        if isinstance(consumer, Mapping):
            name, given = given_offsets(consumer, group)
            offsets = {each: PendingOffset(offset) for each, offset in given.items()}
        elif hasattr(consumer, "offsets_for_transaction"):
            name, offsets = consumer.offsets_for_transaction()
        else:
            what = f"a Consumer, or a mapping of TopicPartition to int, not {type(consumer).__name__}"
            raise InvalidTypeError(f"send_offsets takes {what}")
        self._offsets.setdefault(name, {}).update(offsets)

    @property
    def position(self) -> bytes | None:
        """What `set_position` has stored with the last committed transaction of this `transactional_id`, by whichever producer;
        None if nothing was stored."""
        return self._position

    def set_position(self, position: bytes) -> None:
        """Store some bytes with this transaction, such as how far a source was read that is not a topic. A producer that is
        made after a crash finds them in `position`, and continues there: each item of the source is sent exactly once."""
        self._check_begun("store a position")
        if type(position) is not bytes:
            raise InvalidTypeError(f"position must be bytes, not {type(position).__name__}")
        self._pending_position = position

    # --- beginning and ending ------------------------------------------------------------------------------

    def begin(self) -> None:
        """Begin a transaction. Raises `TransactionStateError` inside one, and `ProducerFencedError`."""
        self._check_may_begin()
        self._is_begun = True

    def _check_may_begin(self) -> None:
        if self._why_unusable is not None:
            self._refuse()
        if self._is_begun:
            raise TransactionStateError(f"{self!r} is in a transaction already: commit or abort it first")

    def begin_with(self, consumers: tuple[TransactionConsumer, ...]) -> None:
        """Begin a transaction; consumers that go back to their committed offsets if it is aborted."""
        self._check_may_begin()
        self._consumers = consumers
        self._is_begun = True

    def commit(self) -> None:
        """Commit the transaction: its records become visible, and its offsets are committed.

        On return that is decided for good, and on disk unless the store was opened with fsync="never". Raises
        `StaleMemberError` if a consumer whose offsets were sent has lost its partitions, and what appending raises: then
        nothing is decided, and `abort` is what remains. After a `LockTimeoutError` the call may be repeated."""
        self._check_begun("commit", of=("", "commit"))
        self._append_waiting()
        if self._is_known or self._offsets or self._pending_position is not None:
            self._unfinished_end = "commit"
            try:
                position = self._pending_position
                self._coordinator.end(self._identity, commit=True, offsets=self._offsets, position=position)
            except ProducerFencedError as error:
                self._fence(error)
                raise
        if self._pending_position is not None:
            self._position = self._pending_position
        self._forget()

    def abort(self) -> None:
        """Abort the transaction: its records never become visible, and its offsets are not committed. If a commit of it was
        interrupted after it had been decided, it is completed instead."""
        self._check_begun("abort", of=("", "commit", "abort"))
        is_known = self._is_known or self._unfinished_end == "commit"
        self._unfinished_end = "abort" if self._unfinished_end == "" else self._unfinished_end
        for sender in self._senders():
            sender.discard(TransactionStateError("the transaction of this record was aborted"))
        self._losses.clear()
        consumers = self._consumers
        try:
            if is_known:
                self._abort_known()
        finally:
            for consumer in consumers:
                with suppress(StoreClosedError):
                    consumer.rewind()
        self._forget()

    def _abort_known(self) -> None:
        try:
            self._coordinator.end(self._identity, commit=False)
        except ProducerFencedError as error:
            self._fence(error)
            raise
        except TransactionStateError:  # it was committed, or the catalog could not be told of it
            state = self._coordinator.finish(self.transactional_id)
            self._position = self._position if state is None else state.position

    def _fence(self, why: ProducerFencedError) -> None:
        """Refuse further use: another producer has this transactional id."""
        for sender in self._senders():
            sender.discard(why)
        self._forget()
        self._end(type(why)(*why.args))

    def _check_begun(self, what: str, *, of: tuple[str, ...] = ("",)) -> None:
        if self._why_unusable is not None:
            self._refuse()
        if not self._is_begun:
            raise TransactionStateError(f"{self!r} is not in a transaction, so it cannot {what}: begin one first")
        if self._unfinished_end not in of:
            raise TransactionStateError(
                f"{self!r} cannot {what}: the {self._unfinished_end} of its transaction has failed or was interrupted; abort it"
            )

    def _forget(self) -> None:
        """Be ready for the next transaction. An interrupt in between leaves this one to be aborted."""
        self._added, self._offsets, self._pending_position, self._consumers = set(), {}, None, ()
        self._is_begun, self._is_known, self._unfinished_end = False, False, ""

    def close(self) -> None:
        """Abort the transaction, if one is open, and close. A later call does nothing."""
        if self._is_begun and self._why_unusable is None:
            with suppress(ProducerFencedError):
                self.abort()
        super().close()
        self._presence.withdraw(self._owner)

    def transaction(self, *consumers: TransactionConsumer) -> Transaction[TransactionalProducer]:
        """A block in which a transaction is open: committed at its end, aborted if it raises.

        The positions of the given consumers are committed with it. If it is aborted, they go back to what their groups have
        committed, so that they hand out the same records again."""
        return Transaction(self, consumers)
