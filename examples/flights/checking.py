"""What each process did, and whether the groups counted what the file holds."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from itertools import islice

import eventlog
from examples.flights.counting import GROUPS, summary
from examples.flights.events import TOPIC, rows
from examples.flights.tallies import Tally, fold


def print_work(tallies: Iterable[Tally], victim: str) -> None:
    """Print each process's share of the work."""
    partitions: dict[tuple[str, str], set[int]] = defaultdict(set)
    records: Counter[str] = Counter()
    again: Counter[str] = Counter()
    done: Counter[tuple[str, int]] = Counter()  # the offset before which a group has processed a partition
    for tally in tallies:
        place = tally.group, tally.partition
        partitions[tally.process, tally.group].add(tally.partition)
        records[tally.process] += tally.stop - tally.first
        again[tally.process] += max(0, min(done[place], tally.stop) - tally.first)
        done[place] = max(done[place], tally.stop)
    print("\nPROCESS     GROUP     PARTITIONS  RECORDS  AGAIN AFTER THE KILL")
    for (process, group), numbers in sorted(partitions.items()):
        last = "killed" if process == victim else f"{again[process]:,}"
        print(f"{process:<10}  {group:<8}  {' '.join(map(str, sorted(numbers))):<10}  {records[process]:>7,}  {last:>20}")


def check(log: eventlog.EventLog, tallies: Sequence[Tally]) -> bool:
    """Print each group's counts; tells whether every flight is in them exactly once, and none is left to process."""
    ends = [log.partition(TOPIC, number).end_offset for number in range(log.topic(TOPIC).partitions)]
    is_right = True
    print()
    for group, expected in _counts_of_file().items():
        counts: Counter[str] = Counter()
        stops = [fold(tallies, group, number, counts) for number in range(len(ends))]
        is_exact = counts == expected and stops == ends
        lags = list(log.group(group).lag().values())
        is_right = is_right and is_exact and lags == [0] * len(ends)
        verdict = "exactly what the file holds" if is_exact else "NOT WHAT THE FILE HOLDS"
        print(f"{group:<8}  {summary(group, counts)}\n          {verdict}; lag {' '.join(map(str, lags))}")
    return is_right


def _counts_of_file() -> dict[str, Counter[str]]:
    counts: dict[str, Counter[str]] = {group: Counter() for group in GROUPS}
    flights = rows()
    while chunk := list(islice(flights, 1000)):
        for group, count in GROUPS.items():
            counts[group].update(count(chunk))
    return counts
