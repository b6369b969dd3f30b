"""A producer of a cluster whose records become visible in transactions: together with the others and the offsets, or not at
all."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NoReturn

from eventlog.clock import Time
from eventlog.errors import (
    EventLogError,
    InvalidTypeError,
    NotSupportedError,
    ProducerFencedError,
    StoreClosedError,
    TransactionStateError,
)
from eventlog.kafka.cluster import Cluster
from eventlog.kafka.consumer import GroupPositions, KafkaConsumer
from eventlog.kafka.failures import is_named, of_kafka
from eventlog.kafka.producer import KafkaProducer, KafkaReceipt
from eventlog.options import check_number, check_text
from eventlog.producer.transaction import Transaction, given_offsets
from eventlog.records.record import TopicPartition

if TYPE_CHECKING:
    from eventlog.producer.serializing import Serializers
    from eventlog.records.batch import Headers

_ID_CHARACTERS_MAX = 1000
_TIMEOUT_MS_MIN, _TIMEOUT_MS_MAX = 1000, 15 * 60 * 1000  # of librdkafka; and of a broker, if its settings say nothing else
_LINGER_MS = 100  # for records that come before the end of the transaction
_FENCED = ("_FENCED", "INVALID_PRODUCER_EPOCH", "PRODUCER_FENCED")


class KafkaTransactionalProducer(KafkaProducer):
    """As `contract.TransactionalProducer`. Created by `KafkaLog.producer(transactional_id=...)`.

    Each end of a transaction waits for the coordinator, for `socket.timeout.ms` (10 s) at most; after an `UnavailableError` it
    may be called again."""

    def __init__(
        self, cluster: Cluster, transactional_id: str, *, timeout_ms: int, compression: str | None, batch_bytes: int,
        auto_create_topics: bool, serializers: Serializers | None = None,
    ) -> None:  # fmt: skip
        self.transactional_id = check_text("transactional_id", transactional_id, _ID_CHARACTERS_MAX)
        check_number("transaction_timeout_ms", timeout_ms, _TIMEOUT_MS_MIN, _TIMEOUT_MS_MAX)
        self._is_begun = False
        self._is_ending = False  # a commit whose outcome is not known
        self._must_abort = False
        self._why_fenced: ProducerFencedError | None = None
        self._offsets: list[GroupPositions] = []
        self._consumers: Sequence[KafkaConsumer] = ()
        delivery_ms = _LINGER_MS + round(cluster.address.delivery_seconds * 1000)
        settings = {
            "transactional.id": transactional_id,
            "transaction.timeout.ms": timeout_ms,
            "message.timeout.ms": min(delivery_ms, timeout_ms),  # librdkafka takes no more
        }
        super().__init__(
            cluster, compression=compression, linger_ms=_LINGER_MS, batch_bytes=batch_bytes,
            auto_create_topics=auto_create_topics, serializers=serializers, settings=settings,
        )  # fmt: skip
        try:
            self._transact("its transactional id cannot be used", lambda client: client.init_transactions(cluster.seconds))
        except BaseException:
            self.close()
            raise

    def __repr__(self) -> str:
        return f"<transactional producer {self.transactional_id!r} of {self._cluster}>"

    @property
    def is_in_transaction(self) -> bool:
        """As `contract.TransactionalProducer.is_in_transaction`."""
        return self._is_begun

    # --- in a transaction ----------------------------------------------------------------------------------

    def send(
        self,
        topic: str,
        value: Any,
        key: Any = None,
        headers: Headers | None = None,
        partition: int | None = None,
        timestamp: Time | None = None,
    ) -> KafkaReceipt:
        """As `contract.TransactionalProducer.send`."""
        self._check_begun("send a record")
        try:
            return super().send(topic, value, key, headers, partition, timestamp)
        except EventLogError as error:
            if isinstance(error.__cause__, self._cluster.library.KafkaException) and is_named(error.__cause__, "_FATAL"):
                self._transact("a record cannot be sent", lambda client: client.begin_transaction())  # which says why
            raise

    def send_offsets(
        self, consumer: KafkaConsumer | Mapping[TopicPartition, int], *, group: str | None = None
    ) -> None:
        """As `contract.TransactionalProducer.send_offsets`."""
        self._check_begun("send offsets")
        if isinstance(consumer, Mapping):
            name, offsets = given_offsets(consumer, group)
            self._offsets.append(GroupPositions(self._stranger_to(name), offsets))
        elif isinstance(consumer, KafkaConsumer):
            self._offsets.append(consumer.positions_for_transaction())
        else:
            what = f"a consumer, or a mapping of TopicPartition to int, not {type(consumer).__name__}"
            raise InvalidTypeError(f"send_offsets takes {what}")

    def _stranger_to(self, group: str) -> Any:
        """What names a group to the coordinator without being a member of it."""
        client = self._cluster.client(self._cluster.library.Consumer, {"group.id": group})
        try:
            return client.consumer_group_metadata()
        finally:
            self._cluster.drop(client, client.close)

    @property
    def position(self) -> NoReturn:
        """Raises `NotSupportedError`."""
        raise NotSupportedError(
            "Kafka's coordinator stores nothing with a transaction but offsets: keep the position of a source in a record of a "
            "topic, or, if it is a number, as an offset: send_offsets({partition: position}, group=...)"
        )

    def set_position(self, position: bytes) -> None:
        """Raises `NotSupportedError`."""
        _ = self.position

    # --- beginning and ending ------------------------------------------------------------------------------

    def begin(self) -> None:
        """As `contract.TransactionalProducer.begin`."""
        self.begin_with(())

    def begin_with(self, consumers: Sequence[KafkaConsumer]) -> None:
        """Begin a transaction; consumers that go back to their committed offsets if it is aborted."""
        self._check_usable()
        if self._is_begun:
            raise TransactionStateError(f"{self!r} is in a transaction already: commit or abort it first")
        self._transact("a transaction cannot begin", lambda client: client.begin_transaction())
        self._consumers = consumers
        self._is_begun = True

    def commit(self) -> None:
        """As `contract.TransactionalProducer.commit`."""
        self._check_begun("commit")
        try:
            if not self._is_ending:
                self._send_offsets()
                self._is_ending = True
            self._commit()
        except ProducerFencedError:
            raise
        except EventLogError:
            failure = self._sender.take_failure() if self._must_abort else None
            if failure is not None:  # of a record, which is why the transaction cannot be committed
                raise failure from None
            raise
        self._forget()

    def _send_offsets(self) -> None:
        make = self._cluster.library.TopicPartition
        for metadata, offsets in self._offsets:
            named = [make(*each, offset) for each, offset in offsets.items()]
            self._transact(
                "the offsets cannot be sent",
                lambda client, *sent: client.send_offsets_to_transaction(*sent, self._cluster.seconds), named, metadata,
            )  # fmt: skip

    def _commit(self) -> None:
        self._transact("the transaction is not committed", lambda client: client.commit_transaction(self._cluster.seconds))

    def abort(self) -> None:
        """As `contract.TransactionalProducer.abort`."""
        self._check_begun("abort")
        consumers = self._consumers
        try:
            self._complete_or_abort()
            self._sender.forget_failures()
        finally:
            for consumer in consumers:
                with suppress(StoreClosedError):
                    consumer.rewind()
        self._forget()

    def _complete_or_abort(self) -> None:
        if self._is_ending and not self._must_abort:  # it may be committed already
            try:
                self._commit()
                return
            except EventLogError:
                if self._why_fenced is not None or not self._must_abort:
                    raise
        seconds = self._cluster.seconds
        self._transact("the transaction is not aborted", lambda client: client.abort_transaction(seconds))

    def transaction(self, *consumers: KafkaConsumer) -> Transaction[KafkaTransactionalProducer]:
        """As `contract.TransactionalProducer.transaction`."""
        for consumer in consumers:
            if not isinstance(consumer, KafkaConsumer):
                raise InvalidTypeError(f"a transaction has consumers of its cluster, not {type(consumer).__name__}")
        return Transaction(self, consumers)

    def close(self) -> None:
        """As `contract.TransactionalProducer.close`."""
        try:
            if not self.is_closed and not self._cluster.is_closed:
                with suppress(ProducerFencedError):
                    if self._is_begun:
                        self.abort()
                if self._why_fenced is not None:
                    self._sender.forget_failures()
        finally:
            super().close()

    # --- errors --------------------------------------------------------------------------------------------

    def _check_usable(self) -> None:
        super()._check_usable()
        if self._why_fenced is not None:
            raise ProducerFencedError(*self._why_fenced.args)

    def _check_begun(self, what: str) -> None:
        self._check_usable()
        if not self._is_begun:
            raise TransactionStateError(f"{self!r} is not in a transaction, so it cannot {what}: begin one first")
        if what not in ("commit", "abort") and (self._is_ending or self._must_abort):
            raise TransactionStateError(f"{self!r} cannot {what}: the commit of its transaction has failed; abort it")

    def _transact(self, what: str, step: Callable[..., object], *arguments: object) -> None:
        """Raises the error of ours for what fails: `ProducerFencedError`, `StaleMemberError`, `UnavailableError` and others."""
        failure = self._cluster.library.KafkaException
        try:
            self._sender.use(step, *arguments)
        except failure as error:
            if is_named(error, *_FENCED):
                self._fence()
            self._must_abort |= error.args[0].txn_requires_abort()
            raise of_kafka(f"{self!r}: {what}", error) from error

    def _fence(self) -> NoReturn:
        self._why_fenced = ProducerFencedError(
            f"{self!r} is fenced: another producer uses its transactional id now, or its transaction took longer than "
            "transaction_timeout_ms; what it sent in the transaction does not become visible"
        )
        self._sender.take_failure()
        self._forget()
        raise self._why_fenced

    def _forget(self) -> None:
        """Be ready for the next transaction."""
        self._offsets, self._consumers = [], ()
        self._is_begun = self._is_ending = self._must_abort = False
