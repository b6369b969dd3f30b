"""Programs in namespaces of their own, as containers run them; a test that needs one is skipped where none can be made."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import eventlog

OTHER_PROCESSES = ("--pid", "--fork", "--kill-child", "--mount-proc")
OTHER_CLOCK = ("--time", "--fork", "--kill-child")
OTHER_MOUNTS = ("--mount",)

_SECONDS_MAX = 60.0


def run_elsewhere(namespaces: tuple[str, ...], program: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a Python program, whose arguments stand in `sys.argv`, in new namespaces."""
    refused = refusal(namespaces)
    if refused:
        pytest.skip(f"unshare {' '.join(namespaces)}: {refused}")
    environment = {**os.environ, "PYTHONPATH": str(Path(eventlog.__file__).parents[1])}
    command = ["unshare", *namespaces, sys.executable, "-c", program, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=_SECONDS_MAX)


@cache
def refusal(namespaces: tuple[str, ...]) -> str:
    """Why such namespaces cannot be made here; "" if they can."""
    try:
        done = subprocess.run(["unshare", *namespaces, "true"], capture_output=True, text=True, timeout=_SECONDS_MAX)
    except OSError as error:
        return str(error)
    return done.stderr.strip()
