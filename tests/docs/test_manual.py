"""The manual page names every command and option, and is made from the commands as they are."""

from __future__ import annotations

import runpy
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.cli.commands import LEAF_COMMANDS

MANUAL = Path(__file__).parents[2] / "docs" / "manual"
PAGE = MANUAL / "eventlog.1"


def test_the_page_names_every_command_with_its_options() -> None:
    sections = PAGE.read_text().replace("\\-", "-").split("\n.SS ")
    for path, command in LEAF_COMMANDS.items():
        name = " ".join(("eventlog", *path))
        (section,) = (each for each in sections if each == name or each.startswith((f"{name} [", f"{name} <")))
        for parameter in command.params:
            assert all(option in section for option in parameter.opts if option.startswith("-")), (path, parameter.opts)


def test_the_page_is_made_from_the_commands() -> None:
    made = runpy.run_path(str(MANUAL / "render.py"))["page"]()
    assert made.count("\n.SS ") == PAGE.read_text().count("\n.SS ") == len(LEAF_COMMANDS)


@pytest.mark.skipif(shutil.which("man") is None, reason="needs man")
def test_man_shows_it_without_a_warning() -> None:
    done = subprocess.run(["man", "--warnings", "-l", PAGE], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
