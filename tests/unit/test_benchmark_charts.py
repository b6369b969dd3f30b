"""A chart of docs/benchmarks.md shows the numbers that the tables of the same page have, and no others."""

from __future__ import annotations

from benchmarks import growth, latency, scaling, throughput
from benchmarks.figures import SHARES, Figure, Results, summarize
from benchmarks.report import charts, page
from benchmarks.targets import ALMOST_EMPTY
from benchmarks.workloads import PARTITIONS, PROCESSES


def figures(suite: str, names: list[tuple[str, str, str, str, str]]) -> list[Figure]:
    """A figure for each line-up, contender, bench, durability and statistic: no two have the same value."""
    return [
        Figure(suite, lineup, peer, bench, durability, statistic, "/s", 1000.0 + 7 * number)
        for number, (lineup, peer, bench, durability, statistic) in enumerate(names)
    ]


def rows(text: str, heading: str) -> dict[str, list[str]]:
    """The rows of the first table behind a heading, by their first cell."""
    lines = text.partition(heading)[2].lstrip().partition("|\n\n")[0].splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    return {first: rest for first, *rest in cells}


def test_the_curves_of_several_writers_are_those_of_the_table_whatever_waits_for_the_disk() -> None:
    crowds, peers = scaling.CROWDS, ("eventlog", "files")
    names = [("embedded", peer, crowd.name, crowd.durability, "rate") for crowd in crowds for peer in peers]
    found = figures(scaling.SUITE, names)
    table = rows(page.write(Results([], found, []), {}), "## Several writers, many partitions")
    own, shared, _ = charts.scaling_panels(summarize(found))
    for panel, is_shared in ((own, False), (shared, True)):
        assert [line.name for line in panel.lines] == table[""]
        for column, line in enumerate(panel.lines):
            assert line.places == list(PROCESSES)
            for processes, summary in zip(line.places, line.summaries, strict=True):
                name = scaling.Crowd(processes=processes, is_shared=is_shared).name
                assert page.number(summary.median) == table[name][column], name


def test_the_curves_of_many_partitions_are_those_of_the_table() -> None:
    benches = [f"{what}, {n} partition" + "s" * (n > 1) for what in ("send with key", "consume") for n in PARTITIONS]
    found = figures(scaling.SUITE, [("embedded", "eventlog", bench, "process", "rate") for bench in benches])
    table = rows(page.write(Results([], found, []), {}), "## Several writers, many partitions")
    lines = charts.scaling_panels(summarize(found))[2].lines
    assert [line.name for line in lines] == ["send with key", "consume"]
    shown = [page.number(summary.median) for line in lines for summary in line.summaries]
    assert shown == [table[bench][0] for bench in benches]


def test_the_curves_of_latency_keep_durabilities_and_line_ups_apart() -> None:
    lineups = [("embedded", "eventlog"), ("embedded", "sqlite"), ("redis", "eventlog"), ("redis", "redis")]
    names = [
        (lineup, peer, "append 100 B", durability, statistic)
        for durability in ("process", "disk") for lineup, peer in lineups for statistic in (*SHARES, "max")
    ]  # fmt: skip
    found = figures(latency.SUITE, names)
    summaries = summarize(found)
    for durability, panel in zip(("process", "disk"), charts.latency_panels(summaries), strict=True):
        assert [line.name for line in panel.lines] == ["eventlog", "sqlite", "redis"]
        for line in panel.lines:
            own = [figure for figure in found if (figure.peer, figure.durability) == (line.name, durability)]
            assert [summary.median for summary in line.summaries] == [figure.value for figure in own[: len(panel.ticks)]]


def test_the_bars_of_growth_are_ratios_of_the_table() -> None:
    lineups, benches = ("10 GiB", "1,000 partitions"), ("append", "read")
    peers = (ALMOST_EMPTY, "grown")
    names = [(lineup, peer, bench, "process", "rate") for lineup in lineups for bench in benches for peer in peers]
    found = figures(growth.SUITE, names)
    values = {(figure.lineup, figure.bench, figure.peer): figure.value for figure in found}
    assert charts.growth_shares(summarize(found)) == {
        lineup: {bench: values[lineup, bench, "grown"] / values[lineup, bench, ALMOST_EMPTY] for bench in benches}
        for lineup in lineups
    }


def test_the_bars_of_throughput_keep_what_waits_for_the_disk_apart() -> None:
    lineups = (("redis", "eventlog"), ("embedded", "eventlog"), ("redis", "redis"))
    names = [
        (lineup, peer, "append 100 B", durability, "rate") for durability in ("disk", "process") for lineup, peer in lineups
    ]
    found = figures(throughput.SUITE, names)
    bars = {panel.title: panel.summaries for panel in charts.throughput_bars(summarize(found))}
    for title, durability in (("append 100 B", "process"), ("append 100 B, disk", "disk")):
        of = {(figure.lineup, figure.peer): figure.value for figure in found if figure.durability == durability}
        assert {peer: summary.median for peer, summary in bars[title].items()} == {
            "eventlog": of["embedded", "eventlog"], "redis": of["redis", "redis"],
        }  # fmt: skip
