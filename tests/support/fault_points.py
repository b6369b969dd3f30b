"""Processes that die or stop at a fault point: between two chosen steps inside a critical section of the C core.

`native/store/fault.h` says what a fault point is. A build of the extension that has them is made here, beside links to the
package's Python files; nothing else ever loads it.
"""

from __future__ import annotations

import compileall
import contextlib
import fcntl
import functools
import os
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

from tests.support.processes import Interpreter, Worker

_ROOT = Path(__file__).parents[2]
_NATIVE = _ROOT / "native"
_PACKAGE = _ROOT / "eventlog"
_PACKAGES = _ROOT / "build" / "torture"
_POINT = re.compile(r'EL_FAULT_POINT\("([^"]+)"\)')


class Fault(NamedTuple):
    """What happens to a process: at the `number`-th pass (from 1) of a point it gets SIGKILL, or SIGSTOP."""

    point: str
    number: int = 1
    action: str = "kill"


def points() -> list[str]:
    """The names of all fault points, as they stand in the sources."""
    return [name for path in sorted((_NATIVE / "store").glob("*.c")) for name in _POINT.findall(path.read_text())]


@functools.cache
def build() -> Path:
    """The directory of an `eventlog` with fault points; it is built if it is not there, or older than its sources."""
    package = _PACKAGES / "eventlog"
    package.mkdir(parents=True, exist_ok=True)
    with open(_PACKAGES / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _link(package)
        built = _PACKAGES / "built"
        sources = [path for path in _NATIVE.rglob("*.[chp]*") if "__pycache__" not in path.parts]
        if not built.exists() or built.stat().st_mtime < max(path.stat().st_mtime for path in sources):
            made = subprocess.run(
                [sys.executable, _NATIVE / "build.py", _PACKAGES], capture_output=True, text=True, check=False
            )
            assert made.returncode == 0, made.stdout + made.stderr
            built.touch()
        compileall.compile_dir(package, maxlevels=0, quiet=1)
    return _PACKAGES


def _link(package: Path) -> None:
    """Links to everything of the package but its extension."""
    wanted = {path.name for path in _PACKAGE.iterdir() if path.suffix != ".so" and path.name != "__pycache__"}
    for path in package.iterdir():
        if path.is_symlink() and path.name not in wanted:
            path.unlink()
    for name in wanted:
        with contextlib.suppress(FileExistsError):
            os.symlink(_PACKAGE / name, package / name)


def _environment(report: Path, fault: Fault | None) -> dict[str, str]:
    environment = {"EVENTLOG_FAULT_REPORT": str(report)}
    if fault is not None:
        environment["EVENTLOG_FAULT"] = f"{fault.point}:{fault.number}:{fault.action}"
    return environment


class Report:
    """What a process with fault points has written into its file: the points that it passed."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def _events(self) -> list[list[str]]:
        return [line.split() for line in self._path.read_text().splitlines()] if self._path.exists() else []

    def passed(self) -> set[str]:
        """The points that the process has passed."""
        return {point for event, point in self._events() if event == "passed"}

    def hit(self) -> str | None:
        """The point at which the process was killed or stopped."""
        return next((point for event, point in self._events() if event in ("killed", "stopped")), None)


def interpreter(
    role: Callable[..., None], *arguments: Any, report: Path, fault: Fault | None = None, prefix: Sequence[str] = ()
) -> Interpreter:
    """An `Interpreter` with fault points, whose report goes to a file of its own."""
    return Interpreter(role, *arguments, prefix=prefix, packages=build(), environment=_environment(report, fault))


def worker(role: Callable[..., None], *arguments: Any, report: Path, fault: Fault | None = None) -> Worker:
    """The same as a `Worker`: for processes that have an `eventlog` with fault points themselves."""
    return Worker(_run_with, _environment(report, fault), role, *arguments)


def _run_with(connection: Connection, environment: dict[str, str], role: Callable[..., None], *arguments: Any) -> None:
    os.environ.update(environment)  # the C side looks at its first fault point, and nothing was opened yet
    role(connection, *arguments)
