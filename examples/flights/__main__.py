"""Run the demo: `python -m examples.flights [DIRECTORY]`. The store stays there for you to look at."""

from __future__ import annotations

import multiprocessing
import shlex
import shutil
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import eventlog
from examples.flights.events import FLIGHTS
from examples.flights.processes import TOPIC, Result, expected, read, write

PARTITIONS = 4


def main() -> None:
    store = Path(sys.argv[1] if len(sys.argv) > 1 else "build/flights")
    _make_store(store)
    print(f"{FLIGHTS:,} flights left New York City in 2013.")
    print(f"One process writes them to the topic {TOPIC!r}; {PARTITIONS} others read it at the same time.\n")
    start = time.perf_counter()
    results = _run_processes(store)
    print(f"Everything was written and read after {time.perf_counter() - start:.1f} s.\n")
    _check(results)
    for command in (
        f"topics describe {TOPIC}",
        f"offsets {TOPIC} --time 2013-07-04",
        f"consume {TOPIC} --partition 0 --from 2013-12-31T23:00 --max 2",
        f"verify {TOPIC}",
    ):
        _show(store, command)
    print(f"\nThe store is in {store}. Try: export EVENTLOG_STORE={store}; .venv/bin/eventlog --help")


def _make_store(store: Path) -> None:
    """Start from nothing, but delete only what is a store."""
    if (store / "store.json").exists():
        shutil.rmtree(store)
    with eventlog.open(store) as log:
        log.create_topic(TOPIC, partitions=PARTITIONS)


def _run_processes(store: Path) -> list[Result]:
    context = multiprocessing.get_context("spawn")
    with context.Manager() as manager, ProcessPoolExecutor(1 + PARTITIONS, context) as pool:
        written = manager.Event()
        readers = [pool.submit(read, str(store), number, written) for number in range(PARTITIONS)]
        try:
            pool.submit(write, str(store), written).result()
        finally:
            # Readers end also when the writer could not go on.
            written.set()
        return [reader.result() for reader in readers]


def _check(results: list[Result]) -> None:
    """Compare what the readers saw with the file. Ends the program with status 1 if anything differs."""
    fingerprints = [tally.fingerprint for tally in expected(PARTITIONS)]
    departures: Counter[str] = Counter()
    print("PARTITION  READER PID   EVENTS  READ WHILE WRITTEN  SAME AS THE FILE")
    for result, fingerprint in zip(results, fingerprints, strict=True):
        same = "yes" if result.fingerprint == fingerprint else "NO"
        print(f"{result.partition:>9}  {result.process_id:>10}  {result.events:>7,}  {result.live_events:>18,}  {same:>16}")
        departures.update(result.departures)
    total = sum(result.events for result in results)
    print(f"\n{total:,} events: " + ", ".join(f"{name} {count:,}" for name, count in sorted(departures.items())))
    if total != FLIGHTS or [result.fingerprint for result in results] != fingerprints:
        raise SystemExit("the readers did not see exactly what the file holds")
    print("Every event was read once, in order, bit for bit.")


def _show(store: Path, command: str) -> None:
    print(f"\n$ eventlog {command}", flush=True)
    subprocess.run([sys.executable, "-m", "eventlog", "--store", str(store), *shlex.split(command)], check=True)


if __name__ == "__main__":
    main()
