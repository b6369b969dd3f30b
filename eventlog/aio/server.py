"""A server in a thread, started and stopped by tasks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING

from eventlog.errors import EventLogError

if TYPE_CHECKING:
    from eventlog.serve.background import BackgroundServer


class AsyncServer:
    """`eventlog.serve.background.BackgroundServer` for tasks: starting and stopping are awaited. Usable with `async with`."""

    def __init__(self, start: Callable[[], BackgroundServer]) -> None:
        self._start = start
        self._server: BackgroundServer | None = None

    async def __aenter__(self) -> AsyncServer:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def _started(self) -> BackgroundServer:
        if self._server is None:
            raise EventLogError("the server has not been started: use 'async with', or await start()")
        return self._server

    @property
    def bootstrap(self) -> str:
        """The address as HOST:PORT, for the setting `bootstrap.servers` of a client."""
        return self._started().bootstrap

    @property
    def host(self) -> str:
        """The address at which it listens."""
        return self._started().host

    @property
    def port(self) -> int:
        """The port at which it listens."""
        return self._started().port

    @property
    def is_running(self) -> bool:
        """Is it serving?"""
        return self._server is not None and self._server.is_running

    @property
    def connections(self) -> int:
        """The number of connections of clients."""
        return self._started().connections

    async def start(self) -> None:
        """Return once clients can connect; a second call does nothing. Raises what `EventLog.serve` raises."""
        if not self.is_running:
            starting = asyncio.ensure_future(asyncio.to_thread(self._start))
            try:
                self._server = await asyncio.shield(starting)
            except asyncio.CancelledError:
                (await starting).stop()
                raise

    async def stop(self) -> None:
        """As `BackgroundServer.stop`."""
        if self._server is not None:
            await asyncio.to_thread(self._server.stop)
