"""What this process counts of rare events, for `EventLog.metrics`. Nothing is counted for each record."""

from __future__ import annotations

import os
import threading

FLUSHES = "flushes"
FLUSH_SECONDS = "flush seconds"
RECOVERIES = "recoveries"

_counts: dict[tuple[str, str, int], float] = {}
"""By name, label and thread: so no two threads add to the same number, and none needs a lock."""


def count(name: str, label: str = "", amount: float = 1) -> None:
    """Add to a number; `label` says of what it is, such as a logger."""
    key = (name, label, threading.get_ident())
    _counts[key] = _counts.get(key, 0) + amount


def counted(name: str) -> dict[str, float]:
    """The sums since the process began, by label."""
    sums: dict[str, float] = {}
    for (of, label, _), amount in list(_counts.items()):
        if of == name:
            sums[label] = sums.get(label, 0) + amount
    return sums


os.register_at_fork(after_in_child=_counts.clear)
