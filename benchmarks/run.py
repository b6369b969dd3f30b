"""One run of the suites: what all of them are told, and where their figures go."""

from __future__ import annotations

import gc
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import peers
from benchmarks.figures import Figure, Journal, Skip
from benchmarks.peers.peer import Peer

_GROWTH_MAX = 20


@dataclass(frozen=True)
class Run:
    """`seconds` is how long a measurement takes about, `rounds` how often it is made. `is_short` only shows that all runs."""

    journal: Journal
    directory: Path
    seed: int
    rounds: int
    seconds: float
    only: Sequence[str]
    growth_gib: float
    is_short: bool

    def amount(self, short: int, full: int) -> int:
        """A number that the short form has smaller."""
        return short if self.is_short else full

    def found(self, suite: str, names: Sequence[str]) -> list[Peer]:
        """The contenders of these names that can be run and were asked for; eventlog always."""
        there = []
        for name in names:
            if self.only and name not in (*self.only, "eventlog"):
                continue
            peer = peers.find(name)
            if isinstance(peer, str):
                self.journal.skip(Skip(suite, name, "", peer))
                print(f"  {name} is left out: {peer}", flush=True)
            else:
                there.append(peer)
        return there

    def add(self, figure: Figure) -> None:
        """Keep a figure."""
        self.journal.add(figure)

    @contextmanager
    def fresh_directory(self) -> Iterator[Path]:
        """An empty directory on the disk that is measured, as long as the block lasts."""
        with tempfile.TemporaryDirectory(prefix="bench-", dir=self.directory) as directory:
            yield Path(directory)

    def warm_up(self) -> None:
        """Use fresh memory once: on a virtual machine each page that the kernel has never had costs a fault in the host."""
        block = bytes(2**20)
        with tempfile.TemporaryFile(dir=self.directory) as file:
            for _ in range(self.amount(1, 1024)):
                file.write(block)

    def calibrate(self, measure: Callable[[int], float], first: int, limit: int) -> int:
        """How many events one measurement takes to last about as long as it should; a multiple of `first`, at most `limit`."""
        if self.is_short:
            return first
        count = first
        while True:
            seconds = max(measure(count), 1e-6)
            ratio = self.seconds / seconds
            if ratio < 4 or count >= limit:
                return max(first, min(limit, int(count * ratio)) // first * first)
            count = min(limit, int(count * min(ratio, _GROWTH_MAX)) // first * first)


def timed(work: Callable[[], object]) -> float:
    """The seconds that a call takes, with the garbage of what came before collected."""
    gc.collect()
    start = time.perf_counter_ns()
    work()
    return (time.perf_counter_ns() - start) / 1e9
