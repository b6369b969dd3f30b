"""`Partition.search` beside looking at every record in Python.

Records are small JSON objects of about 100 bytes, in batches of 1000, one by one, and compressed. Each search is compared with
the plainest loop that gives the same: `[record for record in partition.records() if text in record.value]`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import product

import eventlog
from benchmarks.figures import Figure
from benchmarks.run import Run, timed
from benchmarks.workloads import BATCH_EVENTS
from eventlog import Partition, Record

SUITE = "search"
_CUSTOMERS = 5000

SEARCHES: dict[str, bytes | re.Pattern[bytes]] = {
    "a text in one of 5000": b'"c-17"',
    "a text that is nowhere": b"absent",
    "an expression with a text": re.compile(rb'"c-17\d?"'),
    "an expression without": re.compile(rb"[0-9]{12}"),
}


def _values(count: int) -> list[bytes]:
    text = '{{"customer":"c-{}","total":{},"note":"the quick brown fox jumps over a lazy dog {}"}}'
    return [text.format(number % _CUSTOMERS, number, number * 7919).encode() for number in range(count)]


def _fill(log: eventlog.EventLog, records: int) -> dict[str, Partition]:
    partitions = {name: log.partition(log.create_topic(name).name, 0) for name in ("batches", "singles", "zstd")}
    values = _values(records)
    for start in range(0, records, BATCH_EVENTS):
        partitions["batches"].append_many(values[start : start + BATCH_EVENTS])
        partitions["zstd"].append_many(values[start : start + BATCH_EVENTS], compression="zstd")
    for value in values:
        partitions["singles"].append(value)
    return partitions


def _look_at_all(partition: Partition, pattern: bytes | re.Pattern[bytes]) -> list[Record]:
    if isinstance(pattern, bytes):
        return [record for record in partition.records() if pattern in record.value]  # type: ignore[operator]
    return [record for record in partition.records() if pattern.search(record.value)]  # type: ignore[arg-type]


def run_search(run: Run) -> None:
    """Each search on each partition, by `search` and by the plain loop, which have to find the same."""
    records = run.amount(5000, 200_000)
    with run.fresh_directory() as directory, eventlog.open(directory / "store", fsync="never") as log:
        partitions = _fill(log, records)
        for number in range(1, run.rounds + 1):
            for (place, partition), (search, pattern) in product(partitions.items(), SEARCHES.items()):
                _measure(run, f"{search}, {place}", number, partition, pattern, records)


def _measure(
    run: Run, bench: str, number: int, partition: Partition, pattern: bytes | re.Pattern[bytes], records: int
) -> None:
    found: list[list[Record]] = []
    ways: dict[str, Callable[[], list[Record]]] = {
        "records()": lambda: _look_at_all(partition, pattern),
        "search()": lambda: list(partition.search(pattern)),
    }
    for way, search in ways.items():
        seconds = timed(lambda search=search: found.append(search()))  # type: ignore[misc]
        run.add(Figure(SUITE, "embedded", way, bench, "process", "rate", "/s", records / seconds, number))
    assert found[0] == found[1]
