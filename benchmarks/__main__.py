"""Runs the suites and writes their figures: `python -m benchmarks [SUITE...]`; `make bench` runs them all."""

from __future__ import annotations

import argparse
import random
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from benchmarks import (
    footprint,
    growth,
    latency,
    machine,
    opening,
    peers,
    scaling,
    search,
    takeover,
    targets,
    throughput,
    wakeups,
)
from benchmarks.figures import Figure, Journal
from benchmarks.peers.peer import Peer
from benchmarks.run import Run

ROOT = Path(__file__).parents[1]
OUTPUT = ROOT / "build" / "bench"

SUITES: dict[str, Callable[[Run], None]] = {
    "throughput": throughput.run_embedded,
    "servers": throughput.run_servers,
    "latency": latency.run_latency,
    "wakeups": wakeups.run_wakeups,
    "scaling": scaling.run_scaling,
    "takeover": takeover.run_takeover,
    "search": search.run_search,
    "growth": growth.run_growth,
    "opening": opening.run_opening,
    "footprint": footprint.run_footprint,
}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("suites", nargs="*", metavar="SUITE", help=f"{', '.join(SUITES)}; without one, all")
    parser.add_argument("--peers", default="", help="contenders besides eventlog, by comma; without it, all that are installed")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.2, help="how long one measurement takes about")
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--growth-gib", type=float, default=1.0, help="how large the store of the suite growth becomes")
    parser.add_argument("--directory", type=Path, default=OUTPUT, help="where stores are written; a local disk")
    parser.add_argument("--short", action="store_true", help="only show that everything runs; the figures mean nothing")
    arguments = parser.parse_args()
    if unknown := set(arguments.suites) - set(SUITES):
        parser.error(f"there is no suite {', '.join(sorted(unknown))}; there are {', '.join(SUITES)}")
    if arguments.short:
        arguments.rounds, arguments.seconds, arguments.growth_gib = 1, 0.005, 0.02
    return arguments


def _describe_peers(names: list[str]) -> dict[str, dict[str, object]]:
    found = {name: peer for name in names if isinstance(peer := peers.find(name), Peer)}
    return {name: {"versions": peer.versions(), "settings": peer.settings} for name, peer in found.items()}


def main() -> None:
    """Run suites, each into a file of its own in build/bench/, and print the targets that they have figures for."""
    arguments = _arguments()
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # so that servers are stopped
    seed = arguments.seed if arguments.seed is not None else random.randrange(10**6)
    arguments.directory.mkdir(parents=True, exist_ok=True)
    about = {**machine.describe(arguments.directory), "seed": seed, "rounds": arguments.rounds, "is_short": arguments.short}
    about["peers"] = _describe_peers([*peers.EMBEDDED, *peers.SERVERS])
    figures: list[Figure] = []
    failed = []
    for name in arguments.suites or SUITES:
        journal = Journal(OUTPUT / f"{name}.jsonl", {**about, "suite": name})
        try:
            _run_suite(name, journal, arguments, seed)
        except Exception:  # a contender may fail in its own ways; the other suites are still worth their time
            traceback.print_exc()
            failed.append(name)
        journal.close()
        figures += journal.figures
    print(targets.table(figures))
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


def _run_suite(name: str, journal: Journal, arguments: argparse.Namespace, seed: int) -> None:
    print(f"{name}, seed {seed}", flush=True)
    start = time.monotonic()
    run = Run(
        journal,
        arguments.directory,
        seed,
        arguments.rounds,
        arguments.seconds,
        list(filter(None, arguments.peers.split(","))),
        arguments.growth_gib,
        arguments.short,
    )
    SUITES[name](run)
    print(f"  {len(journal.figures)} figures in {time.monotonic() - start:.0f} s, in {journal.path}", flush=True)


if __name__ == "__main__":
    main()
