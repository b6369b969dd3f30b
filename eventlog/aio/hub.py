"""One thread that waits for everything that any task of a store waits for."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from eventlog.errors import StoreClosedError
from eventlog.waiting import Awaited, Flag, Signals, join, wait_for_any

_LOOK_AGAIN_SECONDS = 1.0


@dataclass(eq=False)
class _Sleeper:
    awaited: Awaited
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[None]


class Hub:
    """Wakes tasks. The thread runs only once somebody has waited."""

    def __init__(self, signals: Signals) -> None:
        self._signals = signals
        self._changed = Flag(signals)
        self._lock = threading.Lock()
        self._sleepers: set[_Sleeper] = set()
        self._thread: threading.Thread | None = None
        self._is_stopped = False

    async def wait(self, awaited: Awaited, timeout: float | None) -> None:
        """Sleep until one of the things may be ready, or for `timeout` seconds; at most a second, so that the caller looks
        again. Raises `StoreClosedError` when the store is closed meanwhile."""
        loop = asyncio.get_running_loop()
        sleeper = _Sleeper(awaited, loop, loop.create_future())
        with self._lock:
            if self._is_stopped:
                raise StoreClosedError("the store was closed")
            self._sleepers.add(sleeper)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="eventlog-aio", daemon=True)
                self._thread.start()
        self._changed.raise_()
        try:
            seconds = _LOOK_AGAIN_SECONDS if timeout is None else min(timeout, _LOOK_AGAIN_SECONDS)
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(sleeper.future, seconds)
        finally:
            with self._lock:
                self._sleepers.discard(sleeper)
        if self._is_stopped:
            raise StoreClosedError("the store was closed")

    async def wait_until(
        self, is_true: Callable[[], bool], conditions: Callable[[], Awaited], timeout: float | None
    ) -> bool:
        """Sleep until something is true, looking whenever the conditions may have made it so; False after `timeout` seconds."""
        loop = asyncio.get_running_loop()
        deadline = None if timeout is None else loop.time() + timeout
        while not is_true():
            remaining = None if deadline is None else deadline - loop.time()
            if remaining is not None and remaining <= 0:
                return False
            await self.wait(conditions(), remaining)
        return True

    def _run(self) -> None:
        while not self._is_stopped:
            known = self._changed.raised
            with self._lock:
                sleepers = list(self._sleepers)
            awaited = join([sleeper.awaited for sleeper in sleepers], spare=1)
            self._changed.await_raise(awaited, awaited.count - 1, known)
            wait_for_any(self._signals, awaited, None, lambda: self._is_stopped)
            self._wake(lambda sleeper: sleeper.awaited.first_ready() >= 0)
        self._wake(lambda sleeper: True)

    def _wake(self, is_due: Callable[[_Sleeper], bool]) -> None:
        with self._lock:
            due = [sleeper for sleeper in self._sleepers if is_due(sleeper)]
            self._sleepers.difference_update(due)
        for sleeper in due:
            with suppress(RuntimeError):  # its event loop was closed
                sleeper.loop.call_soon_threadsafe(_finish, sleeper.future)

    def stop(self) -> None:
        """Wake everybody for the last time, and end the thread."""
        with self._lock:
            self._is_stopped = True
        self._changed.raise_()
        if self._thread is not None:
            self._thread.join()


def _finish(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


class Worker:
    """Runs blocking calls of one handle in the executor, one at a time.

    A call that was begun is waited for even when the task that asked for it was cancelled: the next one begins after it."""

    def __init__(self) -> None:
        self._running: asyncio.Future[object] | None = None

    async def settled(self) -> None:
        """Wait for what a cancelled task has left running; what it raises was that task's to see."""
        running, self._running = self._running, None
        if running is not None and not running.done():
            with suppress(Exception):
                await asyncio.shield(running)

    async def call(self, function: Callable[[], object]) -> None:
        """Run a function in the executor, and wait for it."""
        await self.settled()
        self._running = asyncio.get_running_loop().run_in_executor(None, function)
        await asyncio.shield(self._running)
