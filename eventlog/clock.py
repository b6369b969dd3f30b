"""The clocks that decide what is stored and what runs out: the wall clock, in the unit of timestamps, and the one of leases.

Timestamps, retention, transactions, leases, and the interval of auto_commit go by them, in C as in Python. `eventlog.testing`
stops and moves both, in its own process. How long a call waits, how often a thread works and how long locks are tried for goes
by the system's monotonic clock. And times as callers give them.
"""

from __future__ import annotations

import os
import time
import weakref
from typing import TYPE_CHECKING, Any, Protocol, Union

from eventlog.errors import InvalidArgumentError

if TYPE_CHECKING:
    from datetime import datetime

Time = Union[int, "datetime"]
"""A time as callers give it: milliseconds since the epoch, or a datetime with a time zone."""

_RUNS = -1

_stopped_now_ms = _RUNS
_stopped_lease_ms = _RUNS


class Sleeper(Protocol):
    """A thread that sleeps until its next round."""

    def wake(self) -> None:
        """Begin the round now."""


sleepers: weakref.WeakSet[Sleeper] = weakref.WeakSet()
"""Those to be woken when a clock was moved: they look for what has run out."""


def now_ms() -> int:
    """Milliseconds since the epoch."""
    return time.time_ns() // 1_000_000 if _stopped_now_ms == _RUNS else _stopped_now_ms


def lease_ms() -> int:
    """Milliseconds of a clock that cannot be set, and is the same in all processes."""
    return time.monotonic_ns() // 1_000_000 if _stopped_lease_ms == _RUNS else _stopped_lease_ms


def stop(at_ms: int, at_lease_ms: int) -> None:
    """Let both clocks stand still at these times."""
    global _stopped_now_ms, _stopped_lease_ms
    from eventlog._native import lib  # the help of a command needs the time, and nothing of this

    _stopped_now_ms, _stopped_lease_ms = at_ms, at_lease_ms
    lib.el_clock_stop(at_ms, at_lease_ms)
    for sleeper in list(sleepers):
        sleeper.wake()


def run() -> None:
    """Let both clocks show the system's time."""
    stop(_RUNS, _RUNS)


os.register_at_fork(after_in_child=sleepers.clear)  # they are threads of the parent


def as_timestamp(given: Any) -> Any:
    """A datetime as milliseconds, rounded down; all else is returned as it is, to be checked by what takes it.

    Raises `InvalidArgumentError` for a datetime without a time zone."""
    if given is None or type(given) is int:
        return given
    from datetime import datetime, timedelta, timezone

    if not isinstance(given, datetime):
        return given
    if given.utcoffset() is None:
        raise InvalidArgumentError(
            f"{given!r} has no time zone: use .astimezone() if it is local time, or .replace(tzinfo=timezone.utc)"
        )
    return (given - datetime(1970, 1, 1, tzinfo=timezone.utc)) // timedelta(milliseconds=1)
