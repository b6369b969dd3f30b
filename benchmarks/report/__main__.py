"""Writes the page, and the table of README.md: `python -m benchmarks.report [FILE...]`; without one, of build/bench/*.jsonl."""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks import targets
from benchmarks.__main__ import OUTPUT, ROOT
from benchmarks.figures import load
from benchmarks.report import page, plots

DOCS = ROOT / "docs"
README = ROOT / "README.md"


def _put_excerpt(table: str) -> None:
    before, _, rest = README.read_text("utf-8").partition(page.EXCERPT_BEGIN)
    behind = rest.partition(page.EXCERPT_END)[2]
    README.write_text(f"{before}{page.EXCERPT_BEGIN}{table}\n{page.EXCERPT_END}{behind}", "utf-8")


def main() -> None:
    """Write docs/benchmarks.md, docs/benchmarks/*.svg and the table of README.md, and print how the targets are met."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.report", description=__doc__)
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--output", type=Path, default=DOCS, help="the directory of benchmarks.md; without it README.md, too")
    arguments = parser.parse_args()
    files = arguments.files or sorted(OUTPUT.glob("*.jsonl"), key=lambda path: path.stat().st_mtime)
    if not files:
        parser.error(f"there are no figures in {OUTPUT}: run python -m benchmarks first")
    results = load(files)
    arguments.output.mkdir(exist_ok=True)
    drawn = plots.draw_all(results.figures, arguments.output / "benchmarks")
    (arguments.output / "benchmarks.md").write_text(page.write(results, drawn), "utf-8")
    if arguments.output == DOCS and (table := page.excerpt(results)):
        _put_excerpt(table)
    print(targets.table(results.figures))


if __name__ == "__main__":
    main()
