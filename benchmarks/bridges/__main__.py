"""Measure bridges beside the clients alone: python -m benchmarks.bridges [rabbitmq|stomp|kafka].

Starts each server on free ports of loopback. In each round the client and the bridge move the same messages of 100 bytes, in
turn, to the server and from it; what is printed are medians of all rounds. To connect is part of the work.
"""

from __future__ import annotations

import argparse
import importlib
import tempfile
from pathlib import Path

import eventlog
from benchmarks.bridges.rounds import Load, show

SYSTEMS = ("rabbitmq", "stomp", "kafka")


def main() -> None:
    """Run the rounds and print their medians."""
    parser = argparse.ArgumentParser("python -m benchmarks.bridges", description=__doc__)
    parser.add_argument("systems", nargs="*", metavar="SYSTEM", help=f"some of {', '.join(SYSTEMS)}")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--short", action="store_true", help="a twentieth of the messages, to see that it runs")
    options = parser.parse_args()
    if unknown := set(options.systems) - set(SYSTEMS):
        parser.error(f"there is no {unknown.pop()}")
    for name in options.systems or SYSTEMS:
        system = importlib.import_module(f"benchmarks.bridges.{name}")
        problem = system.why_not()
        if problem is not None:
            raise SystemExit(f"{name}: {problem}")
        messages = system.MESSAGES // (20 if options.short else 1)
        with tempfile.TemporaryDirectory() as directory, eventlog.open(Path(directory) / "store") as log:
            load = Load.of(log, messages)
            with system.running(Path(directory)) as server:
                results = [list(system.compare(server, load, number)) for number in range(options.rounds)]
        show(results)


if __name__ == "__main__":
    main()
