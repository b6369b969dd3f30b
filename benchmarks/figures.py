"""What is measured, as JSON Lines: a line for the run, its machine and seed, one for each figure, one for what was left out."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple


class Subject(NamedTuple):
    """What figures are of. Those of one line-up were measured in the same rounds, and may be divided by one another."""

    suite: str
    lineup: str
    peer: str
    bench: str
    durability: str
    statistic: str


@dataclass(frozen=True)
class Figure:
    """One number, of one round. `statistic` is "rate", a percentile or what else the number is."""

    suite: str
    lineup: str
    peer: str
    bench: str
    durability: str
    statistic: str
    unit: str
    value: float
    round: int = 0
    detail: dict[str, Any] = field(default_factory=dict)

    @property
    def subject(self) -> Subject:
        """Everything but the number and its round."""
        return Subject(self.suite, self.lineup, self.peer, self.bench, self.durability, self.statistic)


@dataclass(frozen=True)
class Skip:
    """What was not measured, and why."""

    suite: str
    peer: str
    bench: str
    reason: str


class Journal:
    """A file that figures are written to at once, and kept in memory."""

    def __init__(self, path: Path, run: Mapping[str, Any]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._file = path.open("w", encoding="utf-8")
        self.figures: list[Figure] = []
        self._skips: set[Skip] = set()
        self._write("run", run)

    def _write(self, kind: str, content: Mapping[str, Any]) -> None:
        self._file.write(json.dumps({"kind": kind, **content}) + "\n")
        self._file.flush()

    def add(self, figure: Figure) -> None:
        """Write a figure."""
        self.figures.append(figure)
        self._write("figure", asdict(figure))

    def skip(self, skip: Skip) -> None:
        """Write, once, that something is left out."""
        if skip not in self._skips:
            self._skips.add(skip)
            self._write("skip", asdict(skip))

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class Summary(NamedTuple):
    """The median over the rounds, the lowest and the highest."""

    median: float
    low: float
    high: float
    rounds: int
    unit: str


def summarize(figures: Iterable[Figure]) -> dict[Subject, Summary]:
    """Medians and spread by subject, in the order in which the subjects came."""
    found: dict[Subject, list[Figure]] = {}
    for figure in figures:
        found.setdefault(figure.subject, []).append(figure)
    return {subject: _summary([figure.value for figure in group], group[0].unit) for subject, group in found.items()}


def _summary(values: list[float], unit: str) -> Summary:
    return Summary(statistics.median(values), min(values), max(values), len(values), unit)


@dataclass(frozen=True)
class Results:
    """What some files of JSON Lines hold."""

    runs: list[dict[str, Any]]
    figures: list[Figure]
    skips: list[Skip]


def load(paths: Iterable[Path]) -> Results:
    """Read files that `Journal` wrote. A line-up of a suite that several hold is taken from the last one."""
    results = Results([], [], [])
    for path in paths:
        kinds: dict[str, list[dict[str, Any]]] = {"run": [], "figure": [], "skip": []}
        for line in path.read_text("utf-8").splitlines():
            content = json.loads(line)
            kinds[content.pop("kind")].append(content)
        fresh = {(content["suite"], content["lineup"]) for content in kinds["figure"]}
        kept = [figure for figure in results.figures if (figure.suite, figure.lineup) not in fresh]
        results.figures[:] = [*kept, *(Figure(**content) for content in kinds["figure"])]
        skips = {Skip(**content): None for content in kinds["skip"]}
        results.skips[:] = [*(skip for skip in results.skips if skip not in skips), *skips]
        results.runs.extend(kinds["run"])
    return results


SHARES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p99.9": 0.999}


def percentiles(times: Iterable[float]) -> dict[str, float]:
    """The percentiles that latencies are told by, and the maximum."""
    ordered = sorted(times)
    found = {name: ordered[min(len(ordered) - 1, int(share * len(ordered)))] for name, share in SHARES.items()}
    return {**found, "max": ordered[-1]}
