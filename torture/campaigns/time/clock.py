"""A wall clock for processes, which the campaign sets as it likes; their monotonic clocks go on as ever."""

from __future__ import annotations

import ctypes
import mmap
import shutil
import subprocess
import time
from pathlib import Path

_SOURCE = Path(__file__).with_name("clock.c")


def why_not() -> str | None:
    """Why the clock cannot be had here, or None."""
    return None if shutil.which("cc") else "there is no C compiler (cc) to build the wall clock with"


class WallClock:
    """`environment` is what a process has to be started with to go by it."""

    def __init__(self, directory: Path) -> None:
        library = directory / "clock.so"
        subprocess.run(["cc", "-shared", "-fPIC", "-O2", "-o", library, _SOURCE], check=True)
        path = directory / "clock"
        path.write_bytes(bytes(8))
        with open(path, "r+b") as file:
            self._map = mmap.mmap(file.fileno(), 8)
        self._offset_ms = ctypes.c_int64.from_buffer(self._map)
        self.environment = {"LD_PRELOAD": str(library), "EVENTLOG_CLOCK": str(path)}

    def set(self, wall_ms: int) -> None:
        """Let it be this time now, in milliseconds since the epoch, for everybody."""
        self._offset_ms.value = wall_ms - time.time_ns() // 1_000_000

    def now_ms(self) -> int:
        """What the processes take for the time."""
        return time.time_ns() // 1_000_000 + self._offset_ms.value
