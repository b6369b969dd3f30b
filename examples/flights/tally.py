"""What a process saw of one partition, as a few numbers that two processes can compare."""

from __future__ import annotations

import hashlib
import json
from collections import Counter


class Tally:
    """Counts events and departures by airport, and digests every byte in order.

    Two tallies are equal only if the same events were added, each once, in the same order, bit for bit.
    """

    def __init__(self) -> None:
        self.events = 0
        self.departures: Counter[str] = Counter()
        self._digest = hashlib.sha256()

    def add(self, key: bytes | None, value: bytes | None, timestamp: int) -> None:
        for part in (key or b"", value or b"", b"%d" % timestamp):
            self._digest.update(b"%d:" % len(part))
            self._digest.update(part)
        self.events += 1
        self.departures[json.loads(value or b"{}").get("origin", "?")] += 1

    @property
    def fingerprint(self) -> str:
        """The digest of all that was added, in hexadecimal."""
        return self._digest.hexdigest()
