"""Appends of transactional producers: only to a partition that belongs to the open transaction."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from eventlog.errors import ProducerFencedError, TransactionStateError
from eventlog.records.record import TopicPartition
from eventlog.serve.served import ServedLog
from eventlog.transactions.coordinator import Identity

_Appended = TypeVar("_Appended")


def append_in_transaction(
    log: ServedLog, producer: Identity, partition: TopicPartition, append: Callable[[], _Appended]
) -> _Appended:
    """Append a batch, in a thread. Raises `ProducerFencedError`, `TransactionStateError`, and what `append` raises.

    The transaction may be ended between the check and the append, which then begins one that nobody knows: so it is checked
    again, and what does not belong to a transaction is aborted."""
    coordinator = log.open_transactions.coordinator
    coordinator.check_may_append(producer, partition)
    appended = append()
    try:
        coordinator.check_may_append(producer, partition)
    except (ProducerFencedError, TransactionStateError):
        coordinator.abort_hanging(log.store.partitions.open(*partition).log)
        raise
    return appended
