"""The files in the recipes of docs/stopping.md: blocks of code whose first line is a comment with a name."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_BLOCK = re.compile(r"^```\w+\n# (\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def recipes() -> dict[str, str]:
    """The files by their names."""
    return dict(_BLOCK.findall((ROOT / "docs/stopping.md").read_text("utf-8")))


def write_recipe(directory: Path, *names: str) -> None:
    """Put files of the recipes into a directory, in its subdirectories if their names say so."""
    for name in names:
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(recipes()[name], "utf-8")
