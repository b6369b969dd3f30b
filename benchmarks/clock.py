"""Timing workloads over several rounds."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable


class Clock:
    """Collects nanoseconds per record, by name."""

    def __init__(self) -> None:
        self.figures: dict[str, list[float]] = {}

    def measure(self, name: str, records: int, work: Callable[[], object]) -> None:
        """Time one call that handles `records` records."""
        start = time.perf_counter_ns()
        work()
        self.figures.setdefault(name, []).append((time.perf_counter_ns() - start) / records)

    def medians(self) -> dict[str, float]:
        """The median of each figure over the rounds."""
        return {name: statistics.median(figures) for name, figures in self.figures.items()}
