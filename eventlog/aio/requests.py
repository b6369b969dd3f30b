"""Threads that make requests to a cluster for tasks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

from eventlog.options import check_timeout

_Result = TypeVar("_Result")

_THREADS_MAX = 32
_PAUSE_SECONDS_MIN, _PAUSE_SECONDS_MAX = 0.005, 0.2  # between two questions of a task that waits


class Requests:
    """The threads of one log. A request that has begun is completed even if its task is cancelled."""

    def __init__(self) -> None:
        self.have_ended = False
        self._threads = ThreadPoolExecutor(_THREADS_MAX, "eventlog-aio-kafka")

    async def make(self, function: Callable[..., _Result], *arguments: Any, **options: Any) -> _Result:
        """What a function returns that makes a request."""
        call = partial(function, *arguments, **options)
        return await asyncio.shield(asyncio.get_running_loop().run_in_executor(self._threads, call))

    async def until(self, is_true: Callable[[], bool], timeout: float | None) -> bool:
        """Ask again and again, until it is true; False after `timeout` seconds. No thread waits between two requests."""
        check_timeout(timeout)
        loop = asyncio.get_running_loop()
        deadline = None if timeout is None else loop.time() + timeout
        pause = _PAUSE_SECONDS_MIN
        while not await self.make(is_true):
            remaining = pause if deadline is None else deadline - loop.time()
            if remaining <= 0:
                return False
            await asyncio.sleep(min(pause, remaining))
            pause = min(2 * pause, _PAUSE_SECONDS_MAX)
        return True

    def end(self) -> None:
        """Make no more."""
        self.have_ended = True
        self._threads.shutdown(wait=False)
