"""README.md quotes docs/benchmarks.md, and nothing else."""

from __future__ import annotations

from pathlib import Path

from benchmarks.report.page import EXCERPT_BEGIN, EXCERPT_END

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")
PAGE = (ROOT / "docs" / "benchmarks.md").read_text("utf-8")


def _rows(table: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines() if line.startswith("|")]


def test_the_figures_of_the_readme_stand_on_the_page_of_benchmarks() -> None:
    (_, *peers), _, *quoted = _rows(README.partition(EXCERPT_BEGIN)[2].partition(EXCERPT_END)[0])
    table = PAGE.partition("### in this process, durability: process")[2].partition("###")[0]
    (_, *names), _, *measured = _rows(table)
    figures = {bench: dict(zip(names, (cell.partition(" ±")[0] for cell in cells), strict=True)) for bench, *cells in measured}
    assert len(quoted) > 3
    for bench, *cells in quoted:
        assert cells == [figures[bench][peer] for peer in peers], bench


