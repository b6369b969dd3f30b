"""Appends and reads of eventlog beside plain files and LMDB, in one run: `python -m benchmarks.ratios`.

Machines are noisy, so each round measures everything, and the figures are medians over the rounds. A first write
warms the page cache up: on virtual machines a fresh page costs a fault in the host as well.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import tempfile
from collections import deque
from collections.abc import Iterable
from pathlib import Path

import lmdb

import eventlog
from benchmarks.clock import Clock

VALUE = b"x" * 100
UNIT = [VALUE] * 1000
UNIT_1K = [b"y" * 1024] * 1000
BATCH_OVERHEAD_BYTES = 70  # a record of 100 B alone in its batch takes 170 B


def _use_up(items: Iterable[object]) -> None:
    deque(items, maxlen=0)


def _warm_up(directory: Path, mebibytes: int) -> None:
    with open(directory / "warm-up", "wb") as file:
        for _ in range(mebibytes):
            file.write(bytes(2**20))
    (directory / "warm-up").unlink()


def _measure_eventlog(clock: Clock, directory: Path, records: int) -> None:
    with eventlog.open(directory / "store", fsync="never") as log:
        log.create_topic("events", partitions=3)
        single, batched, large = (log.partition("events", number) for number in range(3))

        def append() -> None:
            for _ in range(records):
                single.append(VALUE)

        def append_many(partition: eventlog.Partition, unit: list[bytes]) -> None:
            for _ in range(records // len(unit)):
                partition.append_many(unit)

        clock.measure("append", records, append)
        clock.measure("append_many 1000", records, lambda: append_many(batched, UNIT))
        clock.measure("append_many 1000, 1 KiB", records, lambda: append_many(large, UNIT_1K))
        clock.measure("values()", records, lambda: _use_up(batched.values()))
        clock.measure("records()", records, lambda: _use_up(batched.records()))
    shutil.rmtree(directory / "store")


def _measure_files(clock: Clock, directory: Path, records: int) -> None:
    def write(size: int, times: int) -> None:
        descriptor = os.open(directory / "raw", os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
        data = b"z" * size
        for _ in range(times):
            os.write(descriptor, data)
        os.close(descriptor)

    clock.measure("os.write a record", records, lambda: write(100 + BATCH_OVERHEAD_BYTES, records))
    (directory / "raw").unlink()
    for name, size in (("write a MiB", 107), ("write a MiB, 1 KiB", 1033)):
        mebibytes = max(records * size // 2**20, 1)
        clock.measure(name, mebibytes * 2**20 // size, lambda count=mebibytes: write(2**20, count))  # type: ignore[misc]
        (directory / "raw").unlink()


def _measure_lmdb(clock: Clock, directory: Path, records: int) -> None:
    environment = lmdb.open(str(directory / "lmdb"), map_size=2**32, sync=False)
    keys = [number.to_bytes(8, "big") for number in range(2 * records)]

    def put(count: int) -> None:
        for key in keys[:count]:
            with environment.begin(write=True) as transaction:
                transaction.put(key, VALUE, append=True)

    def put_many() -> None:
        for start in range(records, 2 * records, 1000):
            with environment.begin(write=True) as transaction:
                items = [(key, VALUE) for key in keys[start : start + 1000]]
                transaction.cursor().putmulti(items, append=True)

    def scan() -> None:
        with environment.begin() as transaction:
            _use_up(transaction.cursor().iternext(keys=False))

    single = max(records // 10, 1)
    clock.measure("LMDB put", single, lambda: put(single))
    clock.measure("LMDB putmulti 1000", records, put_many)
    clock.measure("LMDB cursor", records + single, scan)
    environment.close()
    shutil.rmtree(directory / "lmdb")


RATIOS = [
    ("append", "os.write a record", 2.0),
    ("append", "LMDB put", 10.0),
    ("append_many 1000", "LMDB putmulti 1000", 3.0),
    ("append_many 1000", "write a MiB", 0.6),
    ("append_many 1000, 1 KiB", "write a MiB, 1 KiB", 0.8),
    ("values()", "LMDB cursor", 3.0),
    ("records()", "LMDB cursor", 1.0),
]


def main() -> None:
    """Measure, and print a table or JSON Lines."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=200_000, help="records a round and workload")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--directory", type=Path, default=None, help="where to write; a local disk")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    clock = Clock()
    directory = Path(tempfile.mkdtemp(prefix="eventlog-bench-", dir=arguments.directory))
    try:
        _warm_up(directory, 4 * arguments.records * 1024 // 2**20)
        for _ in range(arguments.rounds):
            for measure in (_measure_eventlog, _measure_files, _measure_lmdb):
                measure(clock, directory, arguments.records)
    finally:
        shutil.rmtree(directory)
    _print(clock.medians(), arguments.json)


def _print(medians: dict[str, float], as_json: bool) -> None:
    machine = {"machine": platform.machine(), "cpus": os.cpu_count(), "python": platform.python_version()}
    if as_json:
        for name, nanoseconds in medians.items():
            print(json.dumps({"workload": name, "ns_per_record": round(nanoseconds, 1), **machine}))
        return
    for name, nanoseconds in medians.items():
        print(f"{name:28}{nanoseconds:9.1f} ns a record {1e9 / nanoseconds:14,.0f} records a second")
    print()
    for ours, theirs, target in RATIOS:
        print(f"{ours:24} against {theirs:20}{medians[theirs] / medians[ours]:6.2f} x   (target {target} x)")


if __name__ == "__main__":
    main()
