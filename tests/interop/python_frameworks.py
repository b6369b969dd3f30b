"""Frameworks over Kafka's clients, in a virtual environment of their own: some of them hold back the clients' versions."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from subprocess import PIPE, STDOUT, CompletedProcess

PROGRAMS = Path(__file__).parent / "frameworks"
REQUIREMENTS = PROGRAMS / "requirements.txt"
ENVIRONMENT = Path(__file__).parents[2] / "build" / "frameworks"
PYTHON = ENVIRONMENT / "bin" / "python"
INSTALL_SECONDS_MAX = 600
SECONDS_MAX = 60


def fetch() -> str | None:
    """Have the frameworks installed; None, or why that cannot be."""
    installed = ENVIRONMENT / REQUIREMENTS.name
    with suppress(FileNotFoundError):
        if installed.read_text() == REQUIREMENTS.read_text():
            return None
    shutil.rmtree(ENVIRONMENT, ignore_errors=True)
    python = [sys.executable, "-m"]
    options = ["--quiet", "--no-compile", "--only-binary", ":all:", "--requirement", REQUIREMENTS]
    make = [*python, "venv", "--without-pip", ENVIRONMENT]
    install = [*python, "pip", "--python", PYTHON, "install", *options]
    for command in (make, install):
        done = _run(command, INSTALL_SECONDS_MAX)
        if done.returncode != 0:
            return f"the frameworks cannot be installed: {done.stdout[-500:]}"
    shutil.copy(REQUIREMENTS, installed)
    return None


def command(program: str, *arguments: object) -> list[str]:
    return [str(PYTHON), str(PROGRAMS / f"{program}.py"), *map(str, arguments)]


def run(program: str, *arguments: object) -> str:
    """Run one of the programs to its end and return what it printed."""
    done = _run(command(program, *arguments), SECONDS_MAX)
    assert done.returncode == 0, done.stdout
    return done.stdout


def _run(command: Sequence[str | Path], seconds_max: float) -> CompletedProcess[str]:
    return subprocess.run(command, stdout=PIPE, stderr=STDOUT, text=True, timeout=seconds_max)
