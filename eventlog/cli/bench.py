"""`eventlog bench`: how fast eventlog is on this machine, beside a bare file and SQLite."""

from __future__ import annotations

import contextlib
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import click

from eventlog.cli import output
from eventlog.cli.bench_contenders import APPEND_DURABLY, CONTENDERS, KINDS, Work
from eventlog.cli.parsing import Seconds

_ROUNDS = 3
_HEADERS = ("EVENTS A SECOND", "SURVIVES", "EVENTLOG", "BARE FILE", "SQLITE")

Rates = dict[tuple[str, str], list[float]]


@click.command()
@click.option(
    "--directory",
    metavar="DIR",
    type=click.Path(exists=True, file_okay=False),
    default=".",
    help="Write here, on the disk to be measured. Default: the current directory.",
)
@click.option("--seconds", type=Seconds(0.01, 600), default=5.0, show_default=True, help="About how long to measure.")
@click.option("--bytes", "value_bytes", type=click.IntRange(1, 10_000), default=100, show_default=True, help="Size of a value.")
@output.json_option
def bench(directory: str, seconds: float, value_bytes: int, as_json: bool) -> None:
    """Measure how fast eventlog is on this machine.

    Compares it, in the same rounds and at the same durability, with a bare file of as many bytes and with rows in
    SQLite. What was written survives its process or, where the table says disk, a power cut. Everything is written to a
    new directory, which is deleted at the end; no store is needed.

    \b
    Example:
      eventlog bench
      eventlog bench --directory /var/lib/shop --seconds 20 --json
    """
    with tempfile.TemporaryDirectory(prefix=".eventlog-bench-", dir=directory) as scratch:
        rates = _measure(Path(scratch), os.urandom(value_bytes), seconds)
    if as_json:
        for kind in KINDS:
            found = {name: _median(rates, kind, name) for name in CONTENDERS}
            output.write_json({"work": kind, "survives": _survives(kind), **found})
    else:
        output.write_table(_HEADERS, [_row(rates, kind) for kind in KINDS])


def _measure(scratch: Path, value: bytes, seconds: float) -> Rates:
    with contextlib.ExitStack() as closing:
        work: dict[tuple[str, str], Work] = {}
        for name, contender in CONTENDERS.items():
            work |= {(kind, name): bit for kind, bit in contender(scratch, value, closing).items()}
        share = seconds / len(work) / (_ROUNDS + 1)
        rates: Rates = {measured: [] for measured in work}
        with _progress(len(work) * (_ROUNDS + 1)) as advance:
            for number in range(_ROUNDS + 1):
                for kind in KINDS:
                    for name in CONTENDERS:
                        if (kind, name) in work:
                            rate = _rate(work[kind, name], share)
                            rates[kind, name] += [rate] if number > 0 else []  # the first round warms up
                            advance()
    return rates


def _rate(work: Work, seconds: float) -> float:
    """Events a second of work that is repeated until its time is up."""
    events, start = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - start) < seconds or not events:
        events += work()
    return events / elapsed


def _survives(kind: str) -> str:
    return "disk" if kind == APPEND_DURABLY else "process"


def _median(rates: Rates, kind: str, name: str) -> float | None:
    found = rates.get((kind, name))
    return round(statistics.median(found), 1) if found else None


def _row(rates: Rates, kind: str) -> list[str | None]:
    return [kind, _survives(kind), *(output.count_text(_median(rates, kind, name)) for name in CONTENDERS)]


@contextlib.contextmanager
def _progress(steps: int) -> Iterator[Callable[[], None]]:
    """Show a progress bar where standard error is a terminal; yield what counts a step."""
    if sys.stderr is None or not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TimeRemainingColumn

    with Progress(BarColumn(), TimeRemainingColumn(), console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=steps)
        yield lambda: progress.advance(task)
