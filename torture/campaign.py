"""What a campaign is, and what it is given to work with."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Run:
    """One run of a campaign: its directory, its randomness and what it counted.

    `directory` is empty, and removed when the campaign passes; `seed` repeats the run.
    """

    directory: Path
    seed: int
    is_short: bool
    counts: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)

    def amount(self, short: int, long: int) -> int:
        """How often to do a thing: few times in CI, many in the long campaign."""
        return short if self.is_short else long

    def count(self, what: str, number: int = 1) -> None:
        """Add to a figure that the report shows, for example `kills` or `crash states`."""
        self.counts[what] += number


def always() -> str | None:
    """Nothing stands in the way of a campaign that needs nothing special."""
    return None


@dataclass(frozen=True)
class Campaign:
    """One way in which the world misbehaves.

    `shows` is the promise in one sentence. `run` raises `AssertionError` at the first broken promise. `why_not` says why the
    campaign cannot run on this machine, or None.
    """

    name: str
    shows: str
    run: Callable[[Run], None]
    why_not: Callable[[], str | None] = always
