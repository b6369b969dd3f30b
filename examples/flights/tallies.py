"""Results that stay exact when a process is killed.

A process that dies between its result and its commit leaves a chunk of records that another one processes again. So a consumer
does not add to a count somewhere: it sends what it counted in a chunk as an event that names the chunk's offsets, and commits
these offsets after that. Whoever does the chunk again begins at the same committed offset, perhaps with another end. `fold`
walks through a partition from offset 0: of the tallies that begin there it takes the last one, because that one was
committed, and goes on where it stops, because there the next chunk begins. So every record counts once.

(A process that lost its partitions while it lives could still send a late tally, and the walk would end before the last
record. It does not come to this here: a chunk takes milliseconds, and a member has minutes until its next poll.)
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import eventlog

TOPIC = "tallies"


class Tally(NamedTuple):
    """What a process counted in the records of a partition from offset `first` to before `stop`, which it had at
    `polled_at` seconds of the monotonic clock that all processes share."""

    group: str
    partition: int
    first: int
    stop: int
    process: str
    polled_at: float
    counts: dict[str, int]

    def send(self, producer: eventlog.Producer) -> None:
        """Send the tally; it is in the log when this returns."""
        key = f"{self.group}/{self.partition}/{self.first}"
        producer.send(TOPIC, json.dumps(self._asdict()).encode(), key=key.encode())


def follow(log: eventlog.EventLog, is_over: Callable[[], bool]) -> Iterator[Tally]:
    """Yield the tallies as they come, up to the last one that is there when `is_over` gets true."""
    with log.consumer(TOPIC) as consumer:
        while True:
            was_over = is_over()
            records = consumer.poll(timeout=0.1)
            if was_over and not records:
                return
            for record in records:
                yield Tally(**json.loads(record.value or b""))


def fold(tallies: Iterable[Tally], group: str, partition: int, counts: Counter[str]) -> int:
    """Add a group's counts in a partition to `counts`; returns the offset before which every record is in them."""
    last = {tally.first: tally for tally in tallies if (tally.group, tally.partition) == (group, partition)}
    offset = 0
    while offset in last:
        counts.update(last[offset].counts)
        offset = last[offset].stop
    return offset
