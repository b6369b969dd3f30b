"""The transactions of a store, and the ids of its producers, as one process uses them."""

from __future__ import annotations

import weakref
from collections.abc import Callable

from eventlog.groups.registry import Groups
from eventlog.records.record import TopicPartition
from eventlog.store.closing import Step
from eventlog.store.store import Store
from eventlog.transactions.attendant import Attendant
from eventlog.transactions.coordinator import TransactionCoordinator
from eventlog.transactions.producer_ids import ProducerIds


class Transactions:
    """What producers need besides the log. Safe for several threads."""

    def __init__(self, groups: Groups) -> None:
        self.groups = groups
        self.producer_ids = ProducerIds(groups.store.catalog.producer_ids)
        self.coordinator = TransactionCoordinator(groups, self.producer_ids)
        self._attendant: Attendant | None = None
        groups.before_reading = _finish_offsets(weakref.ref(self.coordinator))

    def attend(self) -> None:
        """Let a thread of this process end the transactions that nobody else ends, until the store is closed; unless the store
        is open to read only: then those who may write do that."""
        if self._attendant is None and not self.groups.store.options.is_read_only:
            attendant = Attendant(_in_use(weakref.ref(self)))
            weakref.finalize(self, attendant.end).atexit = False
            attendant.start()
            self._attendant = attendant

    def check_not_replaced(self) -> None:
        """Nothing to check: no file stays open."""

    def check_may_close(self) -> None:
        """Nothing holds a lock for long."""

    def closing_steps(self) -> list[Step]:
        """The steps that end the use of transactions."""
        return [self._stop]

    def _stop(self) -> None:
        if self._attendant is not None:
            self._attendant.stop()


def _in_use(transactions: weakref.ref[Transactions]) -> Callable[[], tuple[Store, TransactionCoordinator] | None]:
    """What the attendant looks after; None once the store is no longer referenced, though it was not closed."""

    def in_use() -> tuple[Store, TransactionCoordinator] | None:
        found = transactions()
        return None if found is None else (found.groups.store, found.coordinator)

    return in_use


def _finish_offsets(coordinator: weakref.ref[TransactionCoordinator]) -> Callable[[str], frozenset[TopicPartition]]:
    """What groups call, without a reference from them back to the transactions."""

    def finish(group: str) -> frozenset[TopicPartition]:
        found = coordinator()
        return frozenset() if found is None else found.finish_offsets(group)

    return finish
