"""Run the demo: `python -m examples.flights [DIRECTORY]`. The store stays there for you to look at."""

from __future__ import annotations

import multiprocessing
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import eventlog
from examples.flights import tallies
from examples.flights.checking import check, print_work
from examples.flights.consumers import consume
from examples.flights.counting import GROUPS
from examples.flights.events import FLIGHTS, TOPIC
from examples.flights.killing import kill_at
from examples.flights.producer import produce
from examples.flights.tallies import Tally
from examples.flights.telling import tell

PARTITIONS = 4
MEMBERS = {"airports-1": "airports", "airports-2": "airports", "delays-1": "delays"}
VICTIM = "airports-1"
LAST_FLIGHT = FLIGHTS // 4  # the victim has two of the four partitions: it is killed half-way
COMMANDS = (
    "groups list",
    "groups describe airports",
    f"topics describe {TOPIC}",
    f"consume {TOPIC} --partition 0 --from 2013-12-31T23:00 --max 2",
    f"verify {TOPIC}",
)


def main() -> None:
    store = sys.argv[1] if len(sys.argv) > 1 else "build/flights"
    if Path(store, "store.json").exists():  # delete only what is a store
        shutil.rmtree(store)
    print(f"{FLIGHTS:,} flights left New York City in 2013. One process sends them to a topic; meanwhile two others count them")
    print(f"by airport, and a third one their delays by airline. Half-way, {VICTIM} is killed.\n", flush=True)
    try:
        with eventlog.open(store) as log:
            found = _run(log, store)
            print_work(found, VICTIM)
            is_right = check(log, found)
        for command in COMMANDS:
            print(f"\n$ eventlog {command}", flush=True)
            subprocess.run([sys.executable, "-m", "eventlog", "--store", store, *shlex.split(command)], check=True)
    finally:
        for process in multiprocessing.active_children():
            process.terminate()
            process.join()
    if not is_right:
        raise SystemExit("the groups did not count exactly what the file holds")
    print(f"\nThe store is in {store}. Try: export EVENTLOG_STORE={store}; .venv/bin/eventlog --help")


def _run(log: eventlog.EventLog, store: str) -> list[Tally]:
    """Have the flights sent, processed and acknowledged; returns all tallies."""
    log.create_topic(TOPIC, partitions=PARTITIONS)
    log.create_topic(tallies.TOPIC)
    consumers = [
        _start(name, consume, store, group, LAST_FLIGHT if name == VICTIM else None) for name, group in MEMBERS.items()
    ]
    _await_assignment(log, consumers)
    producer = _start("producer", produce, store)
    found = []
    for tally in kill_at(LAST_FLIGHT, consumers[0], tallies.follow(log, lambda: not producer.is_alive())):
        found.append(tally)
        _check_running(consumers[1:])
    _check_running([producer])
    return found


def _start(name: str, function: Callable[..., None], *arguments: Any) -> BaseProcess:
    process = multiprocessing.get_context("spawn").Process(target=function, name=name, args=arguments, daemon=True)
    process.start()
    return process


def _await_assignment(log: eventlog.EventLog, consumers: Sequence[BaseProcess]) -> None:
    """Wait until the members of each group share its partitions."""
    owned: dict[int | None, list[int]] = {}
    while sum(map(len, owned.values())) < PARTITIONS * len(GROUPS) or not all(owned.get(each.pid) for each in consumers):
        time.sleep(0.01)
        _check_running(consumers)
        members = [member for group in log.groups() for member in log.group(group).describe().members]
        owned = {member.process_id: [number for _, number in member.partitions] for member in members}
    for process in consumers:
        tell(f"{process.name} has partitions {' '.join(map(str, owned[process.pid]))}")


def _check_running(processes: Sequence[BaseProcess]) -> None:
    for process in processes:
        if process.exitcode:
            raise SystemExit(f"{process.name} failed with status {process.exitcode}")


if __name__ == "__main__":
    main()
