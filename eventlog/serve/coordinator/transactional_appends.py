"""Appends of transactional producers: only to a partition that belongs to the open transaction."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from eventlog.errors import EventLogError, ProducerFencedError, TransactionStateError
from eventlog.records.record import TopicPartition
from eventlog.serve.served import ServedLog
from eventlog.transactions.states import Identity

_Appended = TypeVar("_Appended")


class KnownTransactions:
    """The partitions that belong to open transactions, as far as that was asked since the catalog has changed last."""

    def __init__(self, log: ServedLog) -> None:
        self._coordinator = log.open_transactions.coordinator
        self._environment = log.store.catalog.environment
        self._last_change = -1
        self._known: set[tuple[Identity, TopicPartition]] = set()

    def may_append(self, producer: Identity, partition: TopicPartition) -> bool:
        """Does the partition belong to the producer's open transaction? If not, nothing is said about why."""
        last_change = self._environment.last_transaction()  # before reading: a later change causes another reading
        if last_change != self._last_change:
            self._known.clear()
            self._last_change = last_change
        if (producer, partition) not in self._known:
            try:
                self._coordinator.check_may_append(producer, partition)
            except EventLogError:
                return False
            self._known.add((producer, partition))
        return True


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
