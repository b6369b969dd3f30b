"""The server: listens, supervises its connections, and stops cleanly."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable
from contextlib import suppress
from time import perf_counter_ns
from typing import Any

from eventlog.errors import EventLogError
from eventlog.serve import errors
from eventlog.serve.broker import Broker, Client, Settings
from eventlog.serve.connection import Connection, Limits
from eventlog.serve.memory import RequestMemory
from eventlog.serve.offered import APIS, PRODUCE, SASL_AUTHENTICATE
from eventlog.serve.requests import answer_frame
from eventlog.serve.security.newcomers import Newcomers
from eventlog.serve.security.session import Session
from eventlog.serve.security.tls import CHUNK_BYTES, TlsLayer, new_context
from eventlog.serve.served import ServedLog
from eventlog.serve.single_produce import SingleProduces
from eventlog.storage.mapped.server_counters import CountersWriter

_BACKLOG = 512
_NEWCOMER_BYTES_MAX = 512 * 1024  # of a request, before the client is authenticated
_WATCH_SECONDS = 1.0
_STOP_SECONDS = 5.0

_SETTINGS, _LIMITS = Settings(), Limits()

log = logging.getLogger("eventlog.serve")


class Server:
    """Serves an open store to clients that speak Kafka's protocol. Created and used within one event loop.

    `advertised` is the address that clients get for the broker; without it, each client gets the one that it connected to.
    Raises `InvalidArgumentError` if the files for TLS cannot be used."""

    def __init__(
        self,
        store: ServedLog,
        *,
        settings: Settings = _SETTINGS,
        limits: Limits = _LIMITS,
        advertised: tuple[str, int] | None = None,
    ) -> None:
        self._tls = None if settings.tls is None else new_context(settings.tls)
        self._has_newcomers = settings.has_users or settings.tls is not None
        self._chunk = memoryview(bytearray(0 if self._tls is None else CHUNK_BYTES))
        self._settings = settings
        self._broker = Broker(store, settings)
        self._single_produces = SingleProduces(self._broker)
        self._limits = limits
        self._advertised = advertised
        self._memory = RequestMemory(limits.memory_bytes_max)
        self._connections: dict[Connection, Client | None] = {}
        self._admitted: set[Connection] = set()  # of them
        self._newcomers = Newcomers(limits.newcomers_max, limits.newcomer_seconds)
        self._listener: asyncio.Server | None = None
        self._watching: asyncio.Task[None] | None = None
        self._last_closed_at = 0.0
        self._told_before = errors.told.copy()  # by other servers of this process
        try:
            self._counters = CountersWriter(store.store.path, self._broker.node_id)
        except BaseException:
            self._broker.close()
            raise
        for api in APIS.values():
            self._counters.name_api(api.key, api.name)

    async def start(self, host: str, port: int) -> tuple[str, int]:
        """Listen, and return the address; with port 0 the system chooses the port. Raises `OSError`."""
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(self._new_connection, host, port, backlog=_BACKLOG)
        self._watching = loop.create_task(self._watch())
        self._last_closed_at = loop.time()
        bound = self._listener.sockets[0].getsockname()[:2]
        self._broker.servers.announce(*(self._advertised or bound))
        self.write_counters()
        return bound[0], bound[1]

    def _new_connection(self) -> asyncio.BufferedProtocol:
        connection = Connection(
            self._answer_together, self._answer_at_once, self._answer, self._memory, self._limits, self._opened, self._closed
        )
        if self._settings.has_users:
            connection.session = self._new_session(connection)
        if self._has_newcomers:
            connection.limit_requests(_NEWCOMER_BYTES_MAX)
        if self._tls is None:
            return connection
        return TlsLayer(self._tls, connection, self._chunk, lambda: self._shaken(connection))

    def _new_session(self, connection: Connection) -> Session:
        return Session(
            self._broker.users,
            is_encrypted=self._tls is not None,
            seconds_max=self._settings.session_seconds,
            authenticated=lambda: self._prove(connection),
        )

    def _shaken(self, connection: Connection) -> None:
        if connection.session is None:
            self._prove(connection)

    @property
    def idle_seconds(self) -> float:
        """The time in seconds for which no client has been connected."""
        return 0.0 if self._connections else asyncio.get_running_loop().time() - self._last_closed_at

    @property
    def descriptors(self) -> list[int]:
        """The descriptors of its sockets."""
        sockets = [] if self._listener is None else [each.fileno() for each in self._listener.sockets]
        return [*sockets, *(connection.descriptor for connection in self._connections)]

    @property
    def connection_count(self) -> int:
        """The number of clients' connections."""
        return len(self._connections)

    def _closed(self, connection: Connection) -> None:
        client = self._connections.pop(connection, None)
        if client is not None:
            self._broker.fetch_sessions.end(client)
        self._admitted.discard(connection)
        self._newcomers.discard(connection)
        if connection.has_failed:
            self._counters.failed()
        self._last_closed_at = asyncio.get_running_loop().time()

    def _opened(self, connection: Connection) -> bool:
        if not self._has_newcomers and not self._admit(connection):
            return False
        self._connections[connection] = None  # its addresses are not known yet
        if self._has_newcomers:
            self._newcomers.add(connection, asyncio.get_running_loop().time())
        return True

    def _admit(self, connection: Connection) -> bool:
        if len(self._admitted) >= self._limits.connections_max:
            log.warning("a connection was refused: there are %d", len(self._admitted))
            self._counters.refused()
            return False
        self._counters.opened()
        self._admitted.add(connection)
        return True

    def _prove(self, connection: Connection) -> None:
        """The client is no newcomer any more; one that authenticates again was none before."""
        if connection in self._admitted:
            return
        self._newcomers.discard(connection)
        connection.limit_requests(self._limits.request_bytes_max)
        if not self._admit(connection):
            connection.abort()

    def _answer_together(self, connection: Connection, requests: memoryview, request_bytes_max: int) -> tuple[int, bytes]:
        if connection.session is not None or not self._single_produces.is_ready:
            return 0, b""
        start, loop = perf_counter_ns(), self._single_produces.loop
        answers = self._single_produces.answer_all(requests, request_bytes_max)
        if loop.request_count:
            nanoseconds = perf_counter_ns() - start
            self._counters.answered_together(PRODUCE, loop.request_count, nanoseconds, loop.consumed, len(answers))
        return loop.consumed, answers

    def _answer_at_once(self, connection: Connection, frame: memoryview) -> bytes | None:
        if connection.session is not None:
            return None
        start = perf_counter_ns()
        answer = self._single_produces.answer(frame)
        if answer is not None:
            self._counters.answered(PRODUCE, perf_counter_ns() - start, len(frame), len(answer))
        return answer

    async def _answer(self, connection: Connection, frame: memoryview) -> list[Any] | None:
        client = self._connections.get(connection)
        if client is None:
            advertised = self._advertised or connection.local_address
            address = connection.peer.rpartition(":")[0]
            client = self._connections[connection] = Client(
                *advertised, connection.when_sent, connection.is_ended, connection.stop, connection.session, address
            )
        start, size = perf_counter_ns(), len(frame)
        key = frame[1] if size > 1 else 0  # if it is a larger one, the request is malformed
        if connection.session is not None and connection.session.takes_tokens:
            key = SASL_AUTHENTICATE
        pieces = await answer_frame(self._broker, client, frame)
        self._counters.answered(key, perf_counter_ns() - start, size, 0 if pieces is None else sum(map(len, pieces)))
        return pieces

    def check(self) -> None:
        """Raise `StoreReplacedError` if the store's directory, or the file that lists its servers, has been deleted."""
        self._broker.log.store.check_open()
        self._broker.servers.check_not_replaced()

    async def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        rested_at = loop.time()
        while True:
            await asyncio.sleep(min(_WATCH_SECONDS, self._limits.idle_partition_seconds))
            if loop.time() - rested_at >= self._limits.idle_partition_seconds:
                await self._broker.in_thread(self._broker.partitions.rest_idle)
                rested_at = loop.time()
            for connection in list(self._connections):
                connection.check_progress(loop.time())
            self._newcomers.check(loop.time())
            self.write_counters()

    def write_counters(self) -> None:
        """Let other processes see what was counted; called once a second."""
        for code, count in list(errors.told.items()):  # threads count, too
            if count > self._told_before[code]:
                self._counters.note_errors(errors.name_of(code), count - self._told_before[code])
        self._counters.note_throttled(self._memory.refusals)
        with suppress(EventLogError):  # nobody sees them while the disk is full
            self._counters.write(len(self._connections))

    async def stop(self) -> None:
        """Accept no more requests, finish the answers in progress, and close. The store stays open."""
        self._broker.servers.withdraw()
        with suppress(EventLogError):
            self._counters.close()
        if self._listener is not None:
            self._listener.close()
        if self._watching is not None:
            self._watching.cancel()
        for connection in list(self._connections):
            connection.stop()
        await self._broker.coordinator.stop()
        self._broker.waiting_fetches.stop()  # they are answered without more records
        deadline = asyncio.get_running_loop().time() + _STOP_SECONDS
        while self._connections and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.01)
        for connection in list(self._connections):
            connection.abort()
        await _in_thread(self._broker.close)


async def _in_thread(function: Callable[[], None]) -> None:
    try:
        await asyncio.to_thread(function)
    except RuntimeError as error:
        if not is_shutdown(error):
            raise
        function()


def is_shutdown(error: RuntimeError) -> bool:
    """Does it say that the interpreter is ending, and that threads take no more work?"""
    return "interpreter shutdown" in str(error)


async def run(
    store: ServedLog,
    listen: tuple[str, int],
    ready: Callable[[tuple[str, int]], None],
    *,
    settings: Settings,
    advertised: tuple[str, int] | None = None,
    idle_seconds_max: float | None = None,
    parent: int | None = None,
) -> None:
    """Serve a store until SIGINT or SIGTERM, until no client has been connected for `idle_seconds_max`, or until the descriptor
    `parent` can be read. `ready` gets the address once clients can connect.

    Raises `OSError`, and `StoreReplacedError` if the store's directory is deleted."""
    loop = asyncio.get_running_loop()
    is_stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, is_stopped.set)
    if parent is not None:
        loop.add_reader(parent, lambda: is_stopped.set() if loop.remove_reader(parent) else None)
    server = Server(store, settings=settings, advertised=advertised)
    await serve_until(is_stopped, server, store, listen, ready, idle_seconds_max=idle_seconds_max)


async def serve_until(
    is_stopped: asyncio.Event,
    server: Server,
    store: ServedLog,
    listen: tuple[str, int],
    ready: Callable[[tuple[str, int]], None],
    *,
    idle_seconds_max: float | None = None,
) -> None:
    """The same for a server that was made, until `is_stopped` is set."""
    try:
        ready(await server.start(*listen))
        while not is_stopped.is_set() and (idle_seconds_max is None or server.idle_seconds < idle_seconds_max):
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(is_stopped.wait(), _WATCH_SECONDS)
            server.check()
    finally:
        await server.stop()
