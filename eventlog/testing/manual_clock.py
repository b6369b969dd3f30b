"""The fixture `eventlog_clock`: time passes only when the test says so."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest

from eventlog import clock


class ManualClock:
    """The clock by which the stores of this process give timestamps, and by which records, transactions and the leases of
    members run out. It stands still until it is moved; so do the processes that are forked from this one meanwhile."""

    def __init__(self) -> None:
        self._lease_ms = time.monotonic_ns() // 1_000_000
        self._now_ms = time.time_ns() // 1_000_000
        self._show()

    @property
    def now_ms(self) -> int:
        """The time that it shows, in milliseconds since the epoch: the timestamp of what is appended now."""
        return self._now_ms

    @property
    def now(self) -> datetime:
        """The same, in local time."""
        return datetime.fromtimestamp(self._now_ms / 1000).astimezone()

    def advance(self, duration: float | timedelta) -> None:
        """Let so many seconds, or this duration, pass. Raises `ValueError` for a negative one."""
        seconds = duration.total_seconds() if isinstance(duration, timedelta) else duration
        milliseconds = round(1000 * seconds)
        if milliseconds < 0:
            raise ValueError(f"time does not go back by {duration}: `set` sets the time of day")
        self._now_ms += milliseconds
        self._lease_ms += milliseconds
        self._show()

    def set(self, when: datetime | int) -> None:
        """Set the time of day, also back, as an administrator does: leases do not run out by that. `when` is a time with its
        zone, or in milliseconds since the epoch. Raises `ValueError` for a time without a zone, or before 1970."""
        if isinstance(when, datetime) and when.tzinfo is None:
            raise ValueError(f"{when} has no time zone: give it one, such as datetime.timezone.utc")
        now_ms = round(1000 * when.timestamp()) if isinstance(when, datetime) else when
        if now_ms < 0:
            raise ValueError(f"{when} is before 1970")
        self._now_ms = now_ms
        self._show()

    def _show(self) -> None:
        clock.stop(self._now_ms, self._lease_ms)

    def __repr__(self) -> str:
        return f"<ManualClock at {self.now.isoformat(timespec='milliseconds')}>"


@pytest.fixture
def eventlog_clock() -> Iterator[ManualClock]:
    """A clock that stands still at the current time until the test moves it; after the test, the system's time counts again."""
    manual = ManualClock()
    yield manual
    clock.run()
