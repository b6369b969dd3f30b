"""How long to wait before the next attempt to reach the other system."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

from eventlog.errors import BridgeError

_FIRST_SECONDS = 0.1
_LONGEST_SECONDS = 30.0
_STABLE_SECONDS = 30.0  # a connection that lasted so long was no failure of the attempts before it


class Backoff:
    """The pauses between attempts: each may be twice as long as the one before, up to 30 s, and each is shortened by chance, so
    that many bridges do not return in the same moment."""

    def __init__(
        self,
        give_up_after: float | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        random_fraction: Callable[[], float] = random.random,
    ) -> None:
        """`give_up_after` is the number of seconds without any success after which no more attempts are made; None: never."""
        self._give_up_after = give_up_after
        self._clock = clock
        self._random_fraction = random_fraction
        self._failures = 0
        self._successful_at = clock()

    def succeeded(self) -> None:
        """Something got through: a record was confirmed, a message received."""
        self._failures = 0
        self._successful_at = self._clock()

    def ended(self, connected_seconds: float) -> None:
        """A connection has ended after so long."""
        if connected_seconds >= _STABLE_SECONDS:
            self.succeeded()

    def next_pause(self, error: Exception) -> float:
        """Seconds to wait after this failure. Raises `BridgeError` if it is time to give up."""
        without = self._clock() - self._successful_at
        if self._give_up_after is not None and without >= self._give_up_after:
            raise BridgeError(f"gave up after {without:.0f} s without success: {error}") from error
        longest = min(_FIRST_SECONDS * 2.0 ** min(self._failures, 30), _LONGEST_SECONDS)
        self._failures += 1
        pause = longest * (0.5 + 0.5 * self._random_fraction())
        return pause if self._give_up_after is None else min(pause, max(0.0, self._give_up_after - without))
