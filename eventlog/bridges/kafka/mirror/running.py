"""Rounds of a mirror, one after the other, through lost connections."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Protocol

from eventlog.bridges.kafka.mirror.differences import Difference
from eventlog.errors import ConnectionLostError

_PAUSE_SECONDS_MAX = 30.0
_FIRST_PAUSE_SECONDS = 0.2


class Mirror(Protocol):
    """One direction."""

    def round(self, *, execute: bool, may_go_on: Callable[[], bool]) -> Iterator[Difference]:
        """How the target differs now; with `execute` it does not any more afterwards, unless `may_go_on` says no."""

    def close(self) -> None:
        """Disconnect; the next round connects again."""


class MirrorRun:
    """Keeps a target like its source. For one thread, except `stop`, which any thread or signal handler may call."""

    def __init__(self, mirror: Mirror, show: Callable[[Difference], object], lost: Callable[[Exception], object]) -> None:
        """`show` is called with each difference that was made up for, `lost` with the error of each lost connection."""
        self._mirror = mirror
        self._show = show
        self._lost = lost
        self._stops: SimpleQueue[None] = SimpleQueue()  # not an Event, whose lock an interrupt could leave held
        self._is_stopping = False

    def stop(self) -> None:
        """End once what has begun is complete."""
        self._is_stopping = True
        self._stops.put(None)

    def run(self, *, interval: float, once: bool = False, give_up_after: float | None = None) -> None:
        """One round each `interval` seconds until `stop`; with `once`, until a round is complete.

        Without a connection it tries again, for `give_up_after` seconds at most. Raises `BridgeError`,
        `ConnectionLostError`, and what appending raises."""
        pause, lost_at = _FIRST_PAUSE_SECONDS, 0.0
        try:
            while not self._is_stopping:
                try:
                    for difference in self._mirror.round(execute=True, may_go_on=lambda: not self._is_stopping):
                        self._show(difference)
                    if once:
                        return
                    pause, lost_at = _FIRST_PAUSE_SECONDS, 0.0
                    self._wait(interval)
                except ConnectionLostError as error:
                    self._mirror.close()
                    lost_at = lost_at or time.monotonic()
                    if give_up_after is not None and time.monotonic() - lost_at >= give_up_after:
                        raise
                    self._lost(error)
                    self._wait(pause)
                    pause = min(2 * pause, _PAUSE_SECONDS_MAX)
        finally:
            self._mirror.close()

    def _wait(self, seconds: float) -> None:
        with suppress(Empty):
            self._stops.get(timeout=seconds)
