"""The benchmarks' figures: what is written is read back, medians are medians, and a missed target is called missed."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import targets
from benchmarks.figures import Figure, Journal, Skip, load, percentiles, summarize
from benchmarks.workloads import KEYED, SMALL, WITH_HEADERS, WORKLOADS, Workload


def figure(peer: str, bench: str, value: float, number: int = 1, *, lineup: str = "embedded") -> Figure:
    return Figure("throughput", lineup, peer, bench, "process", "rate", "/s", value, number)


def test_what_a_journal_writes_is_loaded(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "figures.jsonl", {"suite": "throughput", "seed": 7})
    journal.add(figure("eventlog", "append 100 B", 5.0))
    journal.skip(Skip("throughput", "redis", "", "not installed"))
    journal.skip(Skip("throughput", "redis", "", "not installed"))
    journal.close()
    results = load([tmp_path / "figures.jsonl"])
    assert results.runs == [{"suite": "throughput", "seed": 7}]
    assert results.figures == journal.figures == [figure("eventlog", "append 100 B", 5.0)]
    assert results.skips == [Skip("throughput", "redis", "", "not installed")]


def test_a_later_file_replaces_the_lineups_that_it_has(tmp_path: Path) -> None:
    for name, value, lineup in (("first", 1.0, "embedded"), ("second", 2.0, "kafka"), ("third", 3.0, "embedded")):
        journal = Journal(tmp_path / name, {"suite": "throughput"})
        journal.add(figure("eventlog", "commit", value, lineup=lineup))
        journal.close()
    results = load([tmp_path / name for name in ("first", "second", "third")])
    assert [found.value for found in results.figures] == [2.0, 3.0]


def test_a_summary_is_the_median_over_the_rounds_with_its_spread() -> None:
    figures = [figure("eventlog", "commit", value, number) for number, value in enumerate((1.0, 100.0, 3.0))]
    summary = summarize(figures)[figures[0].subject]
    assert (summary.median, summary.low, summary.high, summary.rounds) == (3.0, 1.0, 100.0, 3)


def test_percentiles_are_times_that_occurred() -> None:
    found = percentiles(range(1000))
    assert found == {"p50": 500, "p90": 900, "p99": 990, "p99.9": 999, "max": 999}


@pytest.mark.parametrize(("rate", "verdict"), [(21.0, "reached"), (19.0, "MISSED")])
def test_a_target_is_answered_from_one_lineup(rate: float, verdict: str) -> None:
    figures = [figure("eventlog", "append 100 B", rate), figure("files", "append 100 B", 10.0)]
    elsewhere = figure("lmdb", "append 100 B", 1.0, lineup="elsewhere")
    (answer,) = targets.answers([*figures, elsewhere])
    assert answer.found == rate / 10
    assert verdict in targets.table(figures)


@pytest.mark.parametrize(("milliseconds", "verdict"), [(59.0, "59 ms  60, reached"), (61.0, "61 ms  60, MISSED")])
def test_a_target_without_a_peer_is_for_the_figure_itself(milliseconds: float, verdict: str) -> None:
    found = Figure("footprint", "embedded", "eventlog", "import", "process", "time", "ms", milliseconds, 1)
    assert verdict in targets.table([found])


@pytest.mark.parametrize(("rate", "verdict"), [(91.0, "0.91   0.9, reached"), (89.0, "0.89   0.9, MISSED")])
def test_a_large_store_is_set_beside_an_almost_empty_one(rate: float, verdict: str) -> None:
    small = Figure("growth", "10 GiB", targets.ALMOST_EMPTY, "seek", "process", "rate", "/s", 100.0, 1)
    large = Figure("growth", "10 GiB", "grown", "seek", "process", "rate", "/s", rate, 1)
    assert verdict in targets.table([small, large])


@pytest.mark.parametrize("workload", WORKLOADS, ids=lambda workload: workload.name)
def test_a_workload_is_the_same_for_the_same_seed_and_has_its_size(workload: Workload) -> None:
    events = workload.events(2500, 7)
    assert events == workload.events(2500, 7) != workload.events(2500, 8)
    assert {len(value) for value in events.values} == {workload.value_bytes}
    assert [len(batch) for batch in events.batches()] == [1000, 1000, 500]


def test_a_row_has_the_columns_of_its_workload() -> None:
    assert [len(next(iter(kind.events(1, 7).rows()))) for kind in (SMALL, KEYED, WITH_HEADERS)] == [1, 2, 3]
