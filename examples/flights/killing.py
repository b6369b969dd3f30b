"""kill -9 of a consumer at a defined point of its work, and how long its partitions wait for another one."""

from __future__ import annotations

import time
from collections.abc import Iterator
from multiprocessing.process import BaseProcess

from examples.flights.tallies import Tally
from examples.flights.telling import tell


def kill_at(last_flight: int, victim: BaseProcess, tallies: Iterator[Tally]) -> Iterator[Tally]:
    """Pass all tallies on. Kill the victim when it has counted `last_flight` flights, and tell who goes on with its work."""
    counted = 0
    orphaned = set()
    for tally in tallies:
        yield tally
        if tally.process == victim.name:
            counted += tally.stop - tally.first
            orphaned.add((tally.group, tally.partition))
            if counted >= last_flight:
                break
    else:
        return
    killed_at = time.monotonic()
    victim.kill()
    tell(f"kill -9 {victim.name}: it has counted {counted:,} flights, and not committed the last of them")
    for tally in tallies:
        yield tally
        if tally.process != victim.name and (tally.group, tally.partition) in orphaned:
            milliseconds = (tally.polled_at - killed_at) * 1000
            tell(f"{tally.process} had the next flights of partition {tally.partition} {milliseconds:.0f} ms after the kill")
            break
    yield from tallies
