"""A block in which a transaction is open, whichever log it is of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any, Generic, Protocol, TypeVar

from eventlog.errors import InvalidArgumentError, ProducerFencedError, TransactionStateError
from eventlog.options import check_group_name, check_offset
from eventlog.records.record import TopicPartition, as_topic_partition


class _Consumer(Protocol):
    def rewind(self) -> None: ...


class _Producer(Protocol):
    @property
    def is_in_transaction(self) -> bool: ...

    def begin_with(self, consumers: Any) -> None: ...

    def send_offsets(self, consumer: Any) -> None: ...

    def commit(self) -> None: ...

    def abort(self) -> None: ...


_Of = TypeVar("_Of", bound=_Producer)


def given_offsets(
    offsets: Mapping[TopicPartition, int], group: str | None
) -> tuple[str, dict[TopicPartition, int]]:
    """The group and the offsets that a caller sends without a consumer. Raises `InvalidArgumentError`, `InvalidTypeError`."""
    if group is None:
        raise InvalidArgumentError("offsets are committed in a group: name it with group=")
    return check_group_name(group), {as_topic_partition(each): check_offset(offset) for each, offset in offsets.items()}


class Transaction(Generic[_Of]):
    """The block of `TransactionalProducer.transaction`."""

    def __init__(self, producer: _Of, consumers: Sequence[_Consumer]) -> None:
        self._producer = producer
        self._consumers = consumers

    def __enter__(self) -> _Of:
        try:
            self._producer.begin_with(self._consumers)
        except TransactionStateError:
            raise
        except BaseException:
            self._undo()
            raise
        return self._producer

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            try:
                for consumer in self._consumers:
                    self._producer.send_offsets(consumer)
                self._producer.commit()
            except BaseException:
                self._undo()
                raise
        else:
            self._undo()

    def _undo(self) -> None:
        if self._producer.is_in_transaction:
            with suppress(ProducerFencedError):
                self._producer.abort()
            return
        for consumer in self._consumers:  # another producer has aborted the transaction
            consumer.rewind()
