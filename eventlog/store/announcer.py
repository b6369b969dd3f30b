"""Announces to every process that topics or groups have changed, even if the process that changed them died before it could."""

from __future__ import annotations

import time
from contextlib import suppress

from eventlog.catalog.catalog import Catalog
from eventlog.catalog.changes import last_change
from eventlog.errors import EventLogError
from eventlog.waiting import Signals

_CHECK_SECONDS = 1.0


class Announcer:
    """Announces changes of a catalog to the processes that sleep until it changes. Safe for several threads."""

    def __init__(self, catalog: Catalog, signals: Signals) -> None:
        self._environment = catalog.environment
        self._signals = signals
        self._checked_at = -_CHECK_SECONDS
        self._checked_transaction = -1

    def announce(self) -> None:
        """Announce a committed change by this process."""
        number = self._signals.catalog_announced
        with suppress(EventLogError):  # then a later `announce_missed` announces it again
            number = last_change(self._environment)
        self._signals.catalog_changed(number)

    def announce_missed(self) -> None:
        """Announce any change by a process that died. This has to be called periodically.

        It checks once a second, and only if there was a transaction since. Raises `EventLogError`."""
        now = time.monotonic()
        if now < self._checked_at + _CHECK_SECONDS:
            return
        self._checked_at = now
        transaction = self._environment.last_transaction()
        if transaction == self._checked_transaction:
            return
        number = last_change(self._environment)
        if number != self._signals.catalog_announced:
            self._signals.catalog_changed(number)
        self._checked_transaction = transaction
