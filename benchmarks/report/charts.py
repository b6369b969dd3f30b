"""What each plot of docs/benchmarks.md shows, as numbers: the same summaries that its tables have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from benchmarks import scaling
from benchmarks.figures import SHARES, Subject, Summary
from benchmarks.targets import ALMOST_EMPTY
from benchmarks.workloads import PARTITIONS, PROCESSES

Summaries = Mapping[Subject, Summary]

_BARS = [
    ("append 100 B", "process"),
    ("append batches of 1,000 × 100 B", "process"),
    ("read values", "process"),
    ("seek", "process"),
    ("consume, commit each", "process"),
    ("append 100 B", "disk"),
]


class Line(NamedTuple):
    """One contender, or one bench, over the places of a panel; a place that was not measured is left out."""

    name: str
    places: list[int]
    summaries: list[Summary]


class Panel(NamedTuple):
    """One of the plots that stand side by side. `ticks` are the names of the places, by their numbers."""

    title: str
    lines: list[Line]
    ticks: dict[int, str]
    label: str = ""


class Bars(NamedTuple):
    """One bench: a summary for each contender."""

    title: str
    summaries: dict[str, Summary]


def throughput_bars(summaries: Summaries) -> list[Bars]:
    """A few benches, each with all contenders; eventlog, which is in every line-up, as it was among the embedded ones."""
    panels = []
    for bench, durability in _BARS:
        found: dict[str, Summary] = {}
        for subject, summary in summaries.items():
            is_chosen = subject.lineup == "embedded" or subject.peer not in found
            if (subject.bench, subject.durability) == (bench, durability) and is_chosen:
                found[subject.peer] = summary
        panels.append(Bars(f"{bench}, {durability}" if durability == "disk" else bench, found))
    return panels


def latency_panels(summaries: Summaries) -> list[Panel]:
    """For each durability a line over the percentiles for each contender."""
    names = [*SHARES, "max"]
    panels = []
    for durability in ("process", "disk"):
        subjects: dict[str, Subject] = {}
        for subject in summaries:
            if subject.durability == durability:
                subjects.setdefault(subject.peer, subject)
        lines = [
            Line(peer, list(range(len(names))), [summaries[subject._replace(statistic=name)] for name in names])
            for peer, subject in subjects.items()
        ]
        panels.append(Panel(f"one append, durability: {durability}", lines, dict(enumerate(names))))
    return panels


def scaling_panels(summaries: Summaries) -> list[Panel]:
    """Writers on partitions of their own, writers on one partition, and one producer on many partitions."""
    panels = []
    for title, is_shared in (("a partition for each process", False), ("one partition for all", True)):
        benches = {count: scaling.Crowd(processes=count, is_shared=is_shared).name for count in PROCESSES}
        panels.append(Panel(title, _lines(summaries, benches), _named(PROCESSES), "processes that append"))
    lines = []
    for bench in ("send with key", "consume"):
        benches = {count: f"{bench}, {count} partition" + "s" * (count > 1) for count in PARTITIONS}
        lines += [line._replace(name=bench) for line in _lines(summaries, benches)]
    return [*panels, Panel("one process, many partitions", lines, _named(PARTITIONS), "partitions")]


def _named(places: Sequence[int]) -> dict[int, str]:
    return {place: str(place) for place in places}


def _lines(summaries: Summaries, benches: Mapping[int, str]) -> list[Line]:
    """A line for each contender over these benches, without those that wait for the disk: they are on another scale."""
    found = {(s.peer, s.bench): summary for s, summary in summaries.items() if s.durability == "process"}
    lines = []
    for peer in dict.fromkeys(peer for peer, bench in found if bench in benches.values()):
        there = {place: found[peer, bench] for place, bench in benches.items() if (peer, bench) in found}
        lines.append(Line(peer, list(there), list(there.values())))
    return lines


def growth_shares(summaries: Summaries) -> dict[str, dict[str, float]]:
    """By line-up and bench, how fast the large store is as a share of the almost empty one in the same rounds."""
    shares: dict[str, dict[str, float]] = {}
    for subject, summary in summaries.items():
        if subject.peer == "grown":
            almost_empty = summaries[subject._replace(peer=ALMOST_EMPTY)]
            shares.setdefault(subject.lineup, {})[subject.bench] = summary.median / almost_empty.median
    return shares
