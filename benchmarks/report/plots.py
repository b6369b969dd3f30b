"""Draws the charts of docs/benchmarks.md, as SVG."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import matplotlib

from benchmarks import growth, latency, scaling, throughput
from benchmarks.figures import Figure, summarize
from benchmarks.report import charts
from benchmarks.report.charts import Line, Summaries

matplotlib.use("svg")
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.ticker import NullFormatter

_OURS, _OTHERS = "#c2410c", "#64748b"


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
            pyplot.savefig(directory / f"{name}.svg", metadata={"Date": None}, bbox_inches="tight")
            pyplot.close()
            drawn[name] = f"{directory.name}/{name}.svg"
    return drawn


def _throughput(summaries: Summaries) -> None:
    """A bar for each contender, on a logarithmic axis."""
    _, panels = pyplot.subplots(2, 3, figsize=(12, 7.5))
    for axes, (title, found) in zip(panels.flat, charts.throughput_bars(summaries), strict=True):
        names = sorted(found, key=lambda name: found[name].median)
        medians = [found[name].median for name in names]
        errors = [[found[n].median - found[n].low for n in names], [found[n].high - found[n].median for n in names]]
        axes.barh(names, medians, xerr=errors, color=[_OURS if name == "eventlog" else _OTHERS for name in names],
                  error_kw={"elinewidth": 1})  # fmt: skip
        axes.set_xscale("log")
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_xlim(left=10 ** math.floor(math.log10(min(medians, default=1)) - 0.3))
        axes.set_title(title)
        axes.set_xlabel("events a second")


def _latency(summaries: Summaries) -> None:
    panels = charts.latency_panels(summaries)
    _, places = pyplot.subplots(1, len(panels), figsize=(12, 5.5), sharey=True)
    for axes, panel in zip(places, panels, strict=True):
        _draw_lines(axes, panel.lines)
        axes.set_xticks(list(panel.ticks), list(panel.ticks.values()))
        axes.set_yscale("log")
        axes.set_title(panel.title)
        axes.set_ylabel("microseconds")


def _scaling(summaries: Summaries) -> None:
    panels = charts.scaling_panels(summaries)
    _, places = pyplot.subplots(1, len(panels), figsize=(13, 5))
    for axes, panel in zip(places, panels, strict=True):
        _draw_lines(axes, panel.lines)
        axes.set_xscale("log", base=2)
        axes.set_xticks(list(panel.ticks), list(panel.ticks.values()))
        axes.set_title(panel.title)
        axes.set_xlabel(panel.label)
        axes.set_ylabel("events a second, all together")
        axes.set_ylim(bottom=0)


def _draw_lines(axes: Axes, lines: Sequence[Line]) -> None:
    colors = pyplot.get_cmap("tab20")(range(20))
    axes.set_prop_cycle(color=[*colors[::2], *colors[1::2]])  # no two are alike
    for name, places, summaries in lines:
        color, width = (_OURS, 2.5) if name == "eventlog" else (None, 1.5)
        medians = [summary.median for summary in summaries]
        drawn = axes.plot(places, medians, marker="o", markersize=4, label=name, color=color, linewidth=width)
        lows, highs = [summary.low for summary in summaries], [summary.high for summary in summaries]
        axes.fill_between(places, lows, highs, color=drawn[0].get_color(), alpha=0.15)
    _put_legend_below(axes)


def _put_legend_below(axes: Axes) -> None:
    """Under the axes, where it covers nothing that is drawn."""
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.16), ncol=4, frameon=False)


def _growth(summaries: Summaries) -> None:
    """A group of bars for each line-up: they have no order, so no line joins them."""
    shares = charts.growth_shares(summaries)
    benches = list(dict.fromkeys(bench for found in shares.values() for bench in found))
    _, axes = pyplot.subplots(figsize=(10, 4.5))
    width = 0.8 / max(1, len(benches))
    for number, bench in enumerate(benches):
        there = [(place, found[bench]) for place, found in enumerate(shares.values()) if bench in found]
        left = (number - (len(benches) - 1) / 2) * width
        axes.bar([place + left for place, _ in there], [share for _, share in there], width * 0.9, label=bench)
    axes.axhline(1, color=_OTHERS, linewidth=0.8)
    axes.set_xticks(range(len(shares)), list(shares))
    axes.set_ylim(bottom=0)
    axes.set_ylabel("rate, almost empty store = 1")
    _put_legend_below(axes)
