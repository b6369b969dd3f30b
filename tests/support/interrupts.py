"""Interrupting the library at each of the moments at which a signal's handler can run."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


class Interrupt(BaseException):
    pass


@contextmanager
def interrupted_at(number: int, *packages: str) -> Iterator[list[str]]:
    """Raise `Interrupt` in these packages of the library at this of all moments at which a signal's handler can run: when a
    function begins, or has returned. What is yielded has the function's name then."""
    come = 0
    interrupted: list[str] = []
    paths = tuple(f"/eventlog/{package}/" for package in packages)

    def run_handler(frame: FrameType, event: str, _: Any) -> None:
        nonlocal come
        is_generator = frame.f_code.co_flags & inspect.CO_GENERATOR  # whose yields and end are told as calls and returns
        is_with_caller = event == "return" and frame.f_back is not None and "/tests/" in frame.f_back.f_code.co_filename
        is_elsewhere = not any(path in frame.f_code.co_filename for path in paths)
        if is_elsewhere or event == "c_call" or is_generator or is_with_caller:
            return
        come += 1
        if come == number:
            sys.setprofile(None)
            interrupted.append(f"{frame.f_code.co_name}, {event}")
            raise Interrupt

    sys.setprofile(run_handler)
    try:
        yield interrupted
    finally:
        sys.setprofile(None)
