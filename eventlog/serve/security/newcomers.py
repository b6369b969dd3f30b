"""Connections whose clients have not yet proved who they are: there are few of them, and not for long."""

from __future__ import annotations

import logging
from typing import Protocol

log = logging.getLogger("eventlog.serve")


class Newcomer(Protocol):
    """A connection that is closed if it does not prove itself in time."""

    peer: str

    def abort(self) -> None:
        """Close immediately."""


class Newcomers:
    """Up to `count_max` connections, each for `seconds_max`. One more closes the oldest, so that silent clients cannot keep
    others out."""

    def __init__(self, count_max: int, seconds_max: float) -> None:
        self._count_max = count_max
        self._seconds_max = seconds_max
        self._since: dict[Newcomer, float] = {}  # oldest first

    def __len__(self) -> int:
        return len(self._since)

    def add(self, connection: Newcomer, now: float) -> None:
        """A client has connected at `now`, in seconds."""
        self._since[connection] = now
        if len(self._since) > self._count_max:
            self._close(next(iter(self._since)), "too many others have connected before it was authenticated")

    def discard(self, connection: Newcomer) -> None:
        """The client has proved who it is, or has left."""
        self._since.pop(connection, None)

    def check(self, now: float) -> None:
        """Close those that have had their time."""
        for connection, since in list(self._since.items()):
            if now - since < self._seconds_max:
                break
            self._close(connection, f"it was not authenticated within {self._seconds_max:.0f} s")

    def _close(self, connection: Newcomer, reason: str) -> None:
        del self._since[connection]
        log.warning("%s: closed: %s", connection.peer, reason)
        connection.abort()
