"""The fixture `crash_points`: does a function survive being killed anywhere, and being started again?"""

from __future__ import annotations

import os
import signal
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from eventlog.testing.steps import Steps
from eventlog.testing.stores import Fill, Templates, fill_of

if TYPE_CHECKING:
    from eventlog.api import EventLog

Work = Callable[["EventLog"], object]

_POINTS_MAX = 2000


class CrashPoints:
    """Runs a function again and again, each time in a process of its own with a fresh clone of a store, and kills it: before
    its first step, between each two, and after its last. Steps are its calls into eventlog."""

    def __init__(self, templates: Templates, fill: Fill | None) -> None:
        self._templates = templates
        self._fill = fill

    def __call__(self, work: Work, check: Work) -> list[str]:
        """Kill `work(log)` at each of its steps, run it again to its end, and call `check(log)` each time; first without a
        kill. Returns the steps at which it was killed.

        `work` runs in a process that was forked: it takes no note of what it does to variables of the test. Files of its own,
        such as a database, belong into `log.path.parent`, which is as new as the store. Raises `AssertionError` that names the
        step: what `check` has raised is its cause."""
        store = self._templates.clone(self._fill)
        steps = _run(work, store, None, "without a kill")
        self._check(check, store, "without a kill")
        if len(steps) > _POINTS_MAX:
            raise AssertionError(f"{len(steps)} steps are too many to be killed at each: let it work on fewer records")
        killed = []
        for number in range(1, len(steps) + 1):
            store = self._templates.clone(self._fill)
            point = (_run(work, store, number, f"at step {number}") or ["before its first step"])[-1]
            _run(work, store, None, f"again after a kill {point}")
            self._check(check, store, f"after a kill {point}")
            killed.append(point)
        return killed

    def _check(self, check: Work, store: Path, when: str) -> None:
        import eventlog

        with eventlog.open(store, fsync="never") as log:
            try:
                check(log)
            except Exception as error:
                raise AssertionError(f"{when}: {type(error).__name__}: {error}") from error


def _run(work: Work, store: Path, kill_at: int | None, when: str) -> list[str]:
    """Run the function in a process, which is killed at this step; returns the steps that it came to."""
    reading, writing = os.pipe()
    process_id = os.fork()
    if process_id == 0:
        os.close(reading)
        _work(work, store, kill_at, writing)
    os.close(writing)
    with open(reading, encoding="utf-8") as pipe:
        steps, _, failure = pipe.read().partition("\0")
    _, status = os.waitpid(process_id, 0)
    if failure:
        raise AssertionError(f"the function fails when it runs {when}:\n{failure}")
    if os.WIFSIGNALED(status) and (kill_at is None or os.WTERMSIG(status) != signal.SIGKILL):
        raise AssertionError(f"the process of the function dies of signal {os.WTERMSIG(status)} when it runs {when}")
    return steps.splitlines()


def _work(work: Work, store: Path, kill_at: int | None, pipe: int) -> None:
    """What the child does; never returns."""
    import eventlog

    status = 0
    try:
        with eventlog.open(store, fsync="never") as log:
            Steps(lambda step: os.write(pipe, f"{step}\n".encode()), kill_at).run(lambda: work(log))
    except BaseException:
        status = 1
        os.write(pipe, b"\0" + traceback.format_exc().encode())
    os._exit(status)


@pytest.fixture
def crash_points(request: pytest.FixtureRequest, eventlog_templates: Templates) -> CrashPoints:
    """Kills a function at each of its steps: `crash_points(work, check)`. `@pytest.mark.eventlog_store(fill=…)` says what the
    store contains before."""
    return CrashPoints(eventlog_templates, fill_of(request))
