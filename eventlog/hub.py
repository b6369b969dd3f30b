"""One thread that waits on behalf of all tasks of a store."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple, TypeVar

from eventlog.errors import StoreClosedError
from eventlog.waiting import Signals, Sleepers, WaitSet

_Result = TypeVar("_Result")

_CHECK_SECONDS = 1.0
_TURN_BYTES = 128 * 1024
_CALL_BYTES = 1024  # added for each call: a turn has 128 small records, a tenth of a millisecond


class _Sleeper(NamedTuple):
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[None]


class Hub:
    """Wakes tasks. The thread starts with the first wait."""

    def __init__(self, signals: Signals) -> None:
        self._sleepers: Sleepers[_Sleeper] = Sleepers(signals)
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._is_stopped = False

    async def wait(self, wait_set: WaitSet, timeout: float | None) -> None:
        """Sleep until a condition of the set may be ready, or for `timeout` seconds, but at most for a second: then the caller
        checks again. Raises `StoreClosedError` if the store is closed meanwhile."""
        self._start()
        loop = asyncio.get_running_loop()
        sleeper = _Sleeper(loop, loop.create_future())
        number = self._sleepers.add(sleeper, wait_set)
        try:
            if not self._is_stopped:  # otherwise the thread may already have woken all sleepers
                seconds = _CHECK_SECONDS if timeout is None else min(timeout, _CHECK_SECONDS)
                with suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(sleeper.future, seconds)
        finally:
            self._sleepers.remove(number)
        if self._is_stopped:
            raise StoreClosedError("the store was closed")

    def _start(self) -> None:
        with self._lock:
            if self._is_stopped:
                raise StoreClosedError("the store was closed")
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="eventlog-aio", daemon=True)
                thread.start()
                self._thread = thread

    async def wait_until(
        self, is_true: Callable[[], bool], conditions: Callable[[], WaitSet], timeout: float | None, *, in_thread: bool = False
    ) -> bool:
        """Sleep until `is_true()`, which is checked whenever a condition is ready; False after `timeout` seconds.

        `in_thread`: call both functions in the executor, because they use the catalog or append, which may take long."""
        loop = asyncio.get_running_loop()
        deadline = None if timeout is None else loop.time() + timeout

        async def ask(function: Callable[[], _Result]) -> _Result:
            return await loop.run_in_executor(None, function) if in_thread else function()

        while not await ask(is_true):
            remaining = None if deadline is None else deadline - loop.time()
            if remaining is not None and remaining <= 0:
                return False
            await self.wait(await ask(conditions), remaining)
        return True

    def _run(self) -> None:
        while not self._is_stopped:
            with suppress(MemoryError):  # the sleeping tasks check again within a second
                self._wake(self._sleepers.due())
        self._wake(self._sleepers.everybody())

    def _wake(self, sleepers: list[_Sleeper]) -> None:
        for sleeper in sleepers:
            with suppress(RuntimeError):  # its event loop was closed
                sleeper.loop.call_soon_threadsafe(_finish, sleeper.future)

    def stop(self) -> None:
        """Wake all tasks a last time, and end the thread."""
        with self._lock:
            self._is_stopped = True
            thread = self._thread
        self._sleepers.wake()
        if thread is not None:
            thread.join()


class Turns:
    """Decides when a task whose calls never wait has to let others run: a call that does not suspend blocks the event loop."""

    def __init__(self) -> None:
        self._left_bytes = _TURN_BYTES

    def is_over(self, value: object) -> bool:
        """Count a call with this value; True if other tasks have to run now."""
        self._left_bytes -= _CALL_BYTES + (len(value) if isinstance(value, bytes) else 0)
        if self._left_bytes > 0:
            return False
        self._left_bytes = _TURN_BYTES
        return True


def _finish(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


class Worker:
    """Runs blocking calls of one handle in the executor, one at a time.

    A call that has begun is completed even if its task is cancelled: the next call begins after it."""

    def __init__(self) -> None:
        self._running: asyncio.Future[Any] | None = None

    @property
    def is_idle(self) -> bool:
        """Has every call ended?"""
        return self._running is None or self._running.done()

    async def settled(self) -> None:
        """Wait for the call that a cancelled task left running; its error concerned only that task."""
        while self._running is not None and not self._running.done():
            with suppress(Exception):
                await asyncio.shield(self._running)  # a task that is cancelled here leaves it to the next one

    async def call(self, function: Callable[[], _Result]) -> _Result:
        """Run a function in the executor, and wait for it."""
        await self.settled()
        self._running = running = asyncio.get_running_loop().run_in_executor(None, function)
        return await asyncio.shield(running)
