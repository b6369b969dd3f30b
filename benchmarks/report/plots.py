"""The plots of docs/benchmarks.md, as SVG."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import matplotlib

from benchmarks import growth, latency, scaling, throughput
from benchmarks.figures import SHARES, Figure, Subject, Summary, summarize
from benchmarks.targets import ALMOST_EMPTY
from benchmarks.workloads import PARTITIONS, PROCESSES

matplotlib.use("svg")
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.ticker import NullFormatter

_OURS, _OTHERS = "#c2410c", "#64748b"
_PANELS = [
    ("append 100 B", "process"),
    ("append batches of 1,000 × 100 B", "process"),
    ("read values", "process"),
    ("seek", "process"),
    ("consume, commit each", "process"),
    ("append 100 B", "disk"),
]

Summaries = dict[Subject, Summary]


def draw_all(figures: Sequence[Figure], directory: Path) -> dict[str, str]:
    """Draw what there are figures for; returns each plot's path as the page names it."""
    pyplot.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "eventlog", "font.size": 9, "axes.spines.top": False,
                            "axes.spines.right": False, "figure.facecolor": "white"})  # fmt: skip
    directory.mkdir(exist_ok=True)
    summaries = summarize(figures)
    plots: dict[str, Callable[[Summaries], None]] = {
        throughput.SUITE: _throughput, latency.SUITE: _latency, scaling.SUITE: _scaling, growth.SUITE: _growth,
    }  # fmt: skip
    drawn = {}
    for name, draw in plots.items():
        chosen = {subject: summary for subject, summary in summaries.items() if subject.suite == name}
        if chosen:
            draw(chosen)
            pyplot.tight_layout()
            pyplot.savefig(directory / f"{name}.svg", metadata={"Date": None})
            pyplot.close()
            drawn[name] = f"{directory.name}/{name}.svg"
    return drawn


def _throughput(summaries: Summaries) -> None:
    """A panel for each of the chosen benches, a bar for each contender, on a logarithmic axis."""
    _, panels = pyplot.subplots(2, 3, figsize=(12, 7.5))
    for axes, (bench, durability) in zip(panels.flat, _PANELS, strict=True):
        found: dict[str, Summary] = {}
        for subject, summary in summaries.items():
            is_chosen = subject.lineup == "embedded" or subject.peer not in found  # eventlog is in every line-up
            if (subject.bench, subject.durability) == (bench, durability) and is_chosen:
                found[subject.peer] = summary
        names = sorted(found, key=lambda name: found[name].median)
        medians = [found[name].median for name in names]
        errors = [[found[n].median - found[n].low for n in names], [found[n].high - found[n].median for n in names]]
        axes.barh(names, medians, xerr=errors, color=[_OURS if name == "eventlog" else _OTHERS for name in names],
                  error_kw={"elinewidth": 1})  # fmt: skip
        axes.set_xscale("log")
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_xlim(left=10 ** math.floor(math.log10(min(medians, default=1)) - 0.3))
        axes.set_title(f"{bench}, {durability}" if durability == "disk" else bench)
        axes.set_xlabel("events a second")


def _line(axes: Axes, name: str, places: Sequence[float], summaries: Sequence[Summary]) -> None:
    medians = [summary.median for summary in summaries]
    color, width = (_OURS, 2.5) if name == "eventlog" else (None, 1.5)
    drawn = axes.plot(places, medians, marker="o", markersize=4, label=name, color=color, linewidth=width)
    axes.fill_between(places, [s.low for s in summaries], [s.high for s in summaries], color=drawn[0].get_color(), alpha=0.15)


def _latency(summaries: Summaries) -> None:
    """A line over the percentiles for each contender."""
    names = [*SHARES, "max"]
    _, panels = pyplot.subplots(1, 2, figsize=(12, 5), sharey=True)
    for axes, durability in zip(panels, ("process", "disk"), strict=True):
        drawn = set()
        for subject in summaries:
            if subject.durability == durability and subject.peer not in drawn:
                drawn.add(subject.peer)
                _line(axes, subject.peer, range(len(names)), [summaries[subject._replace(statistic=name)] for name in names])
        axes.set_xticks(range(len(names)), names)
        axes.set_yscale("log")
        axes.set_title(f"one append, durability: {durability}")
        axes.set_ylabel("microseconds")
        if drawn:
            axes.legend(fontsize=8)


def _scaling(summaries: Summaries) -> None:
    """Writers on partitions of their own, writers on one partition, and one producer on many partitions."""
    _, panels = pyplot.subplots(1, 3, figsize=(13, 4.5))
    for place, title in enumerate(("a partition for each process", "one partition for all")):
        benches = [scaling.Crowd(processes=count, is_shared=place == 1).name for count in PROCESSES]
        _lines_by_bench(panels[place], summaries, PROCESSES, benches)
        panels[place].set_title(title)
        panels[place].set_xlabel("processes that append")
    for bench in ("send with key", "consume"):
        names = [f"{bench}, {count} partition" + "s" * (count > 1) for count in PARTITIONS]
        _lines_by_bench(panels[2], summaries, PARTITIONS, names, bench)
    panels[2].set_title("one process, many partitions")
    panels[2].set_xlabel("partitions")
    for axes in panels:
        axes.set_ylabel("events a second, all together")
        axes.set_ylim(bottom=0)
        axes.legend(fontsize=8)


def _lines_by_bench(axes: Axes, summaries: Summaries, places: Sequence[int], benches: Sequence[str], label: str = "") -> None:
    for peer in dict.fromkeys(subject.peer for subject in summaries if subject.bench in benches):
        found = {s.bench: summary for s, summary in summaries.items() if s.peer == peer and s.bench in benches}
        there = [(place, found[bench]) for place, bench in zip(places, benches, strict=True) if bench in found]
        _line(axes, label or peer, [place for place, _ in there], [summary for _, summary in there])
    axes.set_xscale("log", base=2)
    axes.set_xticks(places, list(map(str, places)))


def _growth(summaries: Summaries) -> None:
    """How fast the large store is, as a share of the almost empty one in the same rounds."""
    _, axes = pyplot.subplots(figsize=(9, 4.5))
    lineups = list(dict.fromkeys(subject.lineup for subject in summaries))
    for bench in dict.fromkeys(subject.bench for subject in summaries):
        there = [subject for subject in summaries if subject.bench == bench and subject.peer == "grown"]
        shares = [summaries[s].median / summaries[s._replace(peer=ALMOST_EMPTY)].median for s in there]
        axes.plot([lineups.index(subject.lineup) for subject in there], shares, "o-", label=bench)
    axes.axhline(1, color=_OTHERS, linewidth=0.8)
    axes.set_xticks(range(len(lineups)), lineups)
    axes.set_ylim(bottom=0)
    axes.set_ylabel("rate, almost empty store = 1")
    axes.legend(fontsize=8)
