"""An operation is killed at each fault point that it passes, each time on a store of its own, and what is left is checked."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import eventlog
from eventlog import EventLog
from tests.support import fault_points
from tests.support.fault_points import Fault, Report
from tests.support.processes import Interpreter

Prepare = Callable[[Path], AbstractContextManager[Any]]
Operate = Callable[[EventLog], None]
Check = Callable[[Any], None]


def kill_at_every_step(
    directory: Path, sections: Sequence[str], prepare: Prepare, operate: Operate, check: Check, *, passes: int = 1
) -> set[str]:
    """Kill a process at each fault point of these sections that `operate(log)` passes, the first `passes` times that it does.

    `prepare(store)` is a context manager that makes the store, and goes on using it as another process would; `check` gets what
    it yields, once the process is dead. All three are functions of a module. Returns the points at which processes died."""
    arguments = (directory, tuple(sections), passes, prepare, operate, check)
    with Interpreter(_play, *arguments, packages=fault_points.build()) as stage:
        died: set[str] = stage.receive()
        return died


def _play(
    connection: Connection,
    directory: Path,
    sections: tuple[str, ...],
    passes: int,
    prepare: Prepare,
    operate: Operate,
    check: Check,
) -> None:
    whole = directory / "whole"
    with prepare(whole) as scene:
        assert _operated(whole, operate, None) == 0
        check(scene)
    died = set()
    for point in sorted(Report(_report(whole)).passed()):
        if not point.startswith(sections):
            continue
        for number in range(1, passes + 1):
            store = directory / f"{point}-{number}"
            with prepare(store) as scene:
                if _operated(store, operate, Fault(point, number)) == 0:
                    break
                try:
                    check(scene)
                except BaseException as error:
                    raise AssertionError(f"after the process had died at pass {number} of {point}: {error!r}") from error
            died.add(point)
    connection.send(died)


def _report(store: Path) -> Path:
    return store.with_name(f"{store.name}.report")


def _operated(store: Path, operate: Operate, fault: Fault | None) -> int:
    with fault_points.worker(_operate, store, operate, report=_report(store), fault=fault) as process:
        process.drain()
        return process.exit_status


def _operate(_: Connection, store: Path, operate: Operate) -> None:
    operate(eventlog.open(store))
    os._exit(0)  # what closing does is not part of the operation
