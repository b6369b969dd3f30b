"""The steps of a function at which it uses a store: before and after each call that it makes into this library.

They are found by the interpreter's profiling hook, so that the function needs no changes: a call counts if it leads from code
outside of the library into it. Iterating over a consumer counts as a call for each record.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

_PACKAGE = f"{Path(__file__).resolve().parents[1]}{os.sep}"
_OWN = f"{Path(__file__).resolve().parent}{os.sep}"
_SPECIAL = {"__enter__", "__exit__", "__iter__", "__next__", "__aenter__", "__aexit__", "__aiter__", "__anext__", "__call__"}


class Steps:
    """Reports each step of the calling thread; at the step with the number `kill_at`, counted from 1, the process kills
    itself."""

    def __init__(self, report: Callable[[str], object], kill_at: int | None) -> None:
        self._report = report
        self._kill_at = kill_at
        self._count = 0
        self._depth = 0  # of calls into the library: native code calls Python, which is not a step of the function

    def run(self, function: Callable[[], object]) -> None:
        """Call a function, and count its steps."""
        sys.setprofile(self._note)
        try:
            function()
        finally:
            sys.setprofile(None)

    def _note(self, frame: FrameType, event: str, argument: Any) -> None:
        if event in ("call", "return"):
            caller, name = frame.f_back, frame.f_code.co_name
            if _is_inside(frame) and caller is not None and not _is_inside(caller) and _is_counted(name):
                self._step(event == "call", _name_of(frame), caller)
        elif not _is_inside(frame) and _is_ours(argument) and _is_counted(argument.__name__):
            self._step(event == "c_call", f"{type(argument.__self__).__name__}.{argument.__name__}", frame)

    def _step(self, is_before: bool, name: str, caller: FrameType) -> None:
        self._depth += 1 if is_before else -1
        if self._depth != is_before:
            return
        self._count += 1
        where = f"{os.path.basename(caller.f_code.co_filename)}:{caller.f_lineno}"
        self._report(f"{'before' if is_before else 'after'} {name} at {where}")
        if self._count == self._kill_at:
            os.kill(os.getpid(), signal.SIGKILL)


def _is_inside(frame: FrameType) -> bool:
    path = frame.f_code.co_filename
    return path.startswith(_PACKAGE) and not path.startswith(_OWN)


def _is_counted(name: str) -> bool:
    """Does it use a store? Finalizers may come at any moment, and other names with underscores are not for users."""
    return name in _SPECIAL or not name.startswith(("_", "<"))


def _is_ours(function: Any) -> bool:
    """Is this a native method of an object of the library?"""
    return any(kind.__module__.startswith("eventlog.") for kind in type(getattr(function, "__self__", None)).__mro__)


def _name_of(frame: FrameType) -> str:
    own, name = frame.f_locals.get("self"), frame.f_code.co_name
    if name == "translated":  # by errors.translates_os_errors
        name = frame.f_locals["method"].__name__
    return f"{type(own).__name__}.{name}" if own is not None else name
