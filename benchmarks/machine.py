"""The machine that figures come from."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from datetime import datetime, timezone
from pathlib import Path
from typing import Any


def describe(directory: Path) -> dict[str, Any]:
    """Processor, memory, kernel, Python, the file system of `directory`, the commit and the time."""
    return {
        "time": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "processor": _first(r"model name\s*: (.+)", "/proc/cpuinfo") or platform.processor() or platform.machine(),
        "processors": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1),
        "is_virtual": "hypervisor" in Path("/proc/cpuinfo").read_text("utf-8"),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "file_system": _output("stat", "--file-system", "--format=%T", str(directory)),
        "commit": _output("git", "rev-parse", "--short", "HEAD"),
        "load": os.getloadavg()[0],
    }


def _first(pattern: str, path: str) -> str | None:
    match = re.search(pattern, Path(path).read_text("utf-8"))
    return match[1] if match else None


def _output(*command: str) -> str | None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parent)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()
