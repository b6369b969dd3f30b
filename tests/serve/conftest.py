"""A server in a thread of its own, over the store of the fixture `log`."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from eventlog import EventLog
from eventlog.serve.broker import Settings
from eventlog.serve.connection import Limits
from eventlog.serve.server import Server
from tests.serve.client import RawClient
from tests.serve.group_client import GroupMember


class RunningServer:
    """A server that listens, and the loop that it runs in."""

    def __init__(self, log: EventLog, settings: Settings, limits: Limits) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="server")
        self._thread.start()
        self.server = self.run(_new(log, settings, limits))
        self.address: tuple[str, int] = self.run(self.server.start("127.0.0.1", 0))

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine in the server's loop."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(30)

    def stop(self) -> None:
        """Stop it in good order."""
        self.run(self.server.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def _new(log: EventLog, settings: Settings, limits: Limits) -> Server:
    return Server(log, settings=settings, limits=limits)


@contextmanager
def running_server(log: EventLog, settings: Settings | None = None, limits: Limits | None = None) -> Iterator[RunningServer]:
    """A server of the store for the length of a block."""
    server = RunningServer(log, settings or Settings(), limits or Limits())
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture
def server(log: EventLog) -> Iterator[RunningServer]:
    with running_server(log) as server:
        yield server


@pytest.fixture
def client(server: RunningServer) -> Iterator[RawClient]:
    with RawClient(server.address) as client:
        yield client


@pytest.fixture
def worker(server: RunningServer, client: RawClient, log: EventLog) -> GroupMember:
    """The only member of the group `billing`, and ten records to read."""
    log.partition("events", 0).append_many([b"value"] * 10)
    worker = GroupMember(client)
    worker.work_alone()
    return worker
