"""The examples in the README and in the tutorials run as they stand."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TASKS = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs" / "tutorials").glob("*.md"))
RUNNERS = {"python": [sys.executable], "sh": ["sh", "-eu"]}


def blocks(page: str) -> list[tuple[str, str]]:
    return re.findall(r"^```(python|sh)\n(.*?)^```$", (ROOT / page).read_text("utf-8"), re.MULTILINE | re.DOTALL)


def run(language: str, text: str, directory: Path) -> str:
    script = directory / f"block.{language}"
    script.write_text(text, "utf-8")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [*RUNNERS[language], str(script)],
        cwd=directory,
        env={**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_every_block_of_the_tutorial_runs_in_order(tmp_path: Path) -> None:
    found = blocks("docs/tutorial.md")
    assert {language for language, _ in found} == {"python", "sh"}
    output = [run(language, text, tmp_path) for language, text in found]
    assert "TopicNotFoundError" in "".join(output)


@pytest.mark.slow
@pytest.mark.parametrize("page", TASKS)
def test_every_block_of_a_tutorial_of_a_task_runs_in_order(page: str, tmp_path: Path) -> None:
    found = blocks(page)
    assert {language for language, _ in found} == {"python", "sh"}
    for language, text in found:
        run(language, text, tmp_path)


def test_the_first_screen_of_the_readme_does_what_it_says(tmp_path: Path) -> None:
    (first, program), (second, commands), *others = blocks("README.md")
    assert (first, second) == ("python", "sh") and "python" not in dict(others)
    assert run(first, program, tmp_path).splitlines()[0].endswith("b'customer-7' b'two apples'")
    shown = run(second, commands, tmp_path)
    assert shown.startswith("two apples") and "billing" in shown
