"""Bridges that tasks start, watch and stop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING

from eventlog.errors import EventLogError, InvalidArgumentError
from eventlog.options import check_timeout

if TYPE_CHECKING:
    from eventlog.bridges.bridge import Bridge
    from eventlog.bridges.kafka.mirror.differences import Difference
    from eventlog.bridges.kafka.mirror.mirror import Mirror
    from eventlog.bridges.progress import BridgeProgress


class AsyncBridge:
    """A bridge of `EventLog.ship` or `EventLog.collect` for tasks. It works in a thread of its own; usable with `async with`.

    It is made when it is started, because that may import a client library: then it raises what `EventLog.ship` raises."""

    def __init__(self, make: Callable[[], Bridge]) -> None:
        self._make = make
        self._bridge: Bridge | None = None
        self._starting: asyncio.Future[None] | None = None
        self._ended = asyncio.Event()

    async def __aenter__(self) -> AsyncBridge:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            await self.stop()
        else:
            with suppress(EventLogError):
                await self.stop()

    def _started(self) -> Bridge:
        if self._bridge is None:
            raise EventLogError("the bridge has not been started: use 'async with', or await run() or start()")
        return self._bridge

    async def run(self, until_idle: float | None = None) -> None:
        """As `Bridge.run`. If the task is cancelled, the bridge ends once what it has begun is settled."""
        await self._run(until_idle)

    async def _run(self, until_idle: float | None, **options: bool) -> None:
        if self._starting is not None:
            raise InvalidArgumentError("the bridge was started already: create another one")
        await self._start(until_idle, **options)
        try:
            await self.join()
        except asyncio.CancelledError:
            self.request_stop()
            with suppress(EventLogError):
                await self.join()
            raise

    async def start(self, until_idle: float | None = None) -> None:
        """As `Bridge.start`: return once it works. A second call does nothing."""
        await self._start(until_idle)

    async def _start(self, until_idle: float | None, **options: bool) -> None:
        if self._starting is None:
            begin = partial(self._begin, asyncio.get_running_loop(), until_idle, options)
            self._starting = asyncio.ensure_future(asyncio.to_thread(begin))
        try:
            await asyncio.shield(self._starting)
        except asyncio.CancelledError:
            with suppress(EventLogError):
                await self._starting
                self.request_stop()
                await self.join()
            raise

    def _begin(self, loop: asyncio.AbstractEventLoop, until_idle: float | None, options: dict[str, bool]) -> None:
        bridge = self._make()

        def ended() -> None:
            with suppress(RuntimeError):  # the event loop was closed
                loop.call_soon_threadsafe(self._ended.set)

        bridge.call_at_end(ended)
        bridge.start(until_idle, **options)
        self._bridge = bridge

    def request_stop(self) -> None:
        """As `Bridge.request_stop`."""
        if self._bridge is not None:
            self._bridge.request_stop()

    async def stop(self, timeout: float | None = None) -> None:
        """As `Bridge.stop`."""
        self.request_stop()
        await self.join(timeout)

    async def join(self, timeout: float | None = None) -> None:
        """As `Bridge.join`. No thread waits meanwhile."""
        check_timeout(timeout)
        if self._bridge is None:
            return
        try:
            await asyncio.wait_for(self._ended.wait(), timeout)
        except asyncio.TimeoutError:
            return
        await asyncio.to_thread(self._bridge.join)

    @property
    def is_alive(self) -> bool:
        """As `Bridge.is_alive`."""
        return self._bridge is not None and self._bridge.is_alive

    @property
    def is_running(self) -> bool:
        """As `Bridge.is_running`."""
        return self._bridge is not None and self._bridge.is_running

    def progress(self) -> BridgeProgress:
        """As `Bridge.progress`. Raises `EventLogError` before the bridge is started."""
        return self._started().progress()


class AsyncMirror(AsyncBridge):
    """A bridge of `EventLog.mirror` for tasks, as `AsyncBridge`."""

    def __init__(self, make: Callable[[], Mirror]) -> None:
        super().__init__(make)
        self._make_mirror = make

    async def run(self, until_idle: float | None = None, *, once: bool = False) -> None:
        """As `Mirror.run`. If the task is cancelled, it ends as `AsyncBridge.run` does."""
        await self._run(until_idle, once=once)

    async def start(self, until_idle: float | None = None, *, once: bool = False) -> None:
        """As `Mirror.start`: return once it works. A second call does nothing."""
        await self._start(until_idle, once=once)

    async def differences(self) -> list[Difference]:
        """As `Mirror.differences`."""
        return await asyncio.to_thread(lambda: self._make_mirror().differences())
