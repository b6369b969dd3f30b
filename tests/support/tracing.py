"""strace around a process: counting its system calls, and killing it at a chosen one.

Source of the injection syntax: strace(1), "Tampering".
"""

from __future__ import annotations

import re
import shutil
import subprocess
from functools import cache
from pathlib import Path


@cache
def why_not() -> str | None:
    """Why processes cannot be traced here, or None when they can."""
    if shutil.which("strace") is None:
        return "strace is not installed"
    tried = subprocess.run(["strace", "-f", "-qq", "-o", "/dev/null", "true"], capture_output=True, text=True, check=False)
    return f"strace does not work: {tried.stderr.strip()}" if tried.returncode else None


def counting(system_call: str, report: Path) -> list[str]:
    """The command that counts a system call of a program and its threads."""
    return ["strace", "-f", "-qq", "-c", "-e", f"trace={system_call}", "-o", str(report)]


def counted(report: Path) -> int:
    """How often the system call was made, by a report of `counting`."""
    match = re.search(r"^\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s.*total$", report.read_text(), re.MULTILINE)
    return int(match[1]) if match else 0


def killing(system_call: str, number: int) -> list[str]:
    """The command that runs a program up to its `number`-th call (from 1) of a system call, and kills it there."""
    return ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={system_call}",
            "-e", f"inject={system_call}:signal=KILL:when={number}"]  # fmt: skip
