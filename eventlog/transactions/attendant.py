"""The thread that ends transactions of which nobody else takes care."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from eventlog.clock import now_ms
from eventlog.errors import EventLogError
from eventlog.groups.registry import Groups
from eventlog.periodic import PeriodicThread
from eventlog.store.store import Store
from eventlog.transactions.coordinator import TransactionCoordinator
from eventlog.transactions.producer_ids import ProducerIds

_INTERVAL_MS = 1000
_HANGING_MS = 10_000


_UNUSED_MS = 7 * 24 * 3600 * 1000
"""Kafka's default of transactional.id.expiration.ms."""


def look_after(groups: Groups) -> None:
    """What housekeeping does: end what nobody else ends, and forget producers that have done nothing for a week."""
    coordinator = TransactionCoordinator(groups, ProducerIds(groups.store.catalog.producer_ids))
    now = now_ms()
    coordinator.attend(now)
    coordinator.forget_unused(now, _UNUSED_MS)


class Attendant(PeriodicThread):
    """Looks after the transactions of all processes once a second, as long as any is open or the catalog changes.

    `in_use` returns the store with its coordinator; None, when the store is no longer referenced, ends the thread."""

    def __init__(self, in_use: Callable[[], tuple[Store, TransactionCoordinator] | None]) -> None:
        super().__init__("eventlog-transactions", _INTERVAL_MS)
        self._in_use = in_use
        self._is_any_open = True
        self._seen = -1

    def work(self) -> None:
        found = self._in_use()
        if found is None:
            self.end()
            return
        store, coordinator = found
        for partition in store.partitions.in_use():
            with suppress(EventLogError, OSError):  # it is damaged, or closed
                coordinator.abort_hanging(partition.log, idle_ms=_HANGING_MS)
        last = store.catalog.environment.last_transaction()
        if self._is_any_open or last != self._seen:
            self._is_any_open = coordinator.attend(now_ms())
            self._seen = last
