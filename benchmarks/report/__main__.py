"""Writes the page: `python -m benchmarks.report [FILE...]`; without one, all of build/bench/*.jsonl."""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks import targets
from benchmarks.__main__ import OUTPUT, ROOT
from benchmarks.figures import load
from benchmarks.report import page, plots


def main() -> None:
    """Write docs/benchmarks.md and docs/benchmarks/*.svg, or elsewhere, and print how the targets are met."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.report", description=__doc__)
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--output", type=Path, default=ROOT / "docs", help="the directory of benchmarks.md")
    arguments = parser.parse_args()
    files = arguments.files or sorted(OUTPUT.glob("*.jsonl"), key=lambda path: path.stat().st_mtime)
    if not files:
        parser.error(f"there are no figures in {OUTPUT}: run python -m benchmarks first")
    results = load(files)
    arguments.output.mkdir(exist_ok=True)
    drawn = plots.draw_all(results.figures, arguments.output / "benchmarks")
    (arguments.output / "benchmarks.md").write_text(page.write(results, drawn), "utf-8")
    print(targets.table(results.figures))


if __name__ == "__main__":
    main()
