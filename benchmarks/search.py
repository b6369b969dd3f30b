"""`Partition.search` beside looking at every record in Python, in one run: `python -m benchmarks.search`.

Records are small JSON objects of about 100 bytes, in batches of 1000, one by one, and compressed. Each search is compared with
the plainest loop that gives the same: `[record for record in partition.records() if text in record.value]`.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import eventlog
from benchmarks.clock import Clock
from eventlog import Partition, Record

_UNIT = 1000
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
    for start in range(0, records, _UNIT):
        partitions["batches"].append_many(values[start : start + _UNIT])
        partitions["zstd"].append_many(values[start : start + _UNIT], compression="zstd")
    for value in values:
        partitions["singles"].append(value)
    return partitions


def _look_at_all(partition: Partition, pattern: bytes | re.Pattern[bytes]) -> list[Record]:
    if isinstance(pattern, bytes):
        return [record for record in partition.records() if pattern in record.value]  # type: ignore[operator]
    return [record for record in partition.records() if pattern.search(record.value)]  # type: ignore[arg-type]


def main() -> None:
    """Measure, and print a table or JSON Lines."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=200_000, help="records in each partition")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    clock = Clock()
    directory = Path(tempfile.mkdtemp(prefix="eventlog-bench-"))
    try:
        with eventlog.open(directory / "store", fsync="never") as log:
            partitions = _fill(log, arguments.records)
            for _ in range(arguments.rounds):
                for name, partition in partitions.items():
                    for search, pattern in SEARCHES.items():
                        _measure(clock, f"{search}, {name}", arguments.records, partition, pattern)
    finally:
        shutil.rmtree(directory)
    _print(clock.medians(), arguments.json)


def _measure(
    clock: Clock, name: str, records: int, partition: Partition, pattern: bytes | re.Pattern[bytes]
) -> None:
    found: list[list[Record]] = []
    searches: dict[str, Callable[[], list[Record]]] = {
        "records()": lambda: _look_at_all(partition, pattern),
        "search()": lambda: list(partition.search(pattern)),
    }
    for way, search in searches.items():
        clock.measure(f"{way} {name}", records, lambda search=search: found.append(search()))  # type: ignore[misc]
    assert found[0] == found[1]


def _print(medians: dict[str, float], as_json: bool) -> None:
    if as_json:
        machine = {"machine": platform.machine(), "cpus": os.cpu_count(), "python": platform.python_version()}
        for name, nanoseconds in medians.items():
            print(json.dumps({"workload": name, "ns_per_record": round(nanoseconds, 1), **machine}))
        return
    for name, nanoseconds in medians.items():
        if name.startswith("search() "):
            plain = medians["records() " + name.removeprefix("search() ")]
            print(f"{name:45}{nanoseconds:8.1f} ns a record, records(){plain:8.1f} ns: {plain / nanoseconds:5.1f} x")


if __name__ == "__main__":
    main()
