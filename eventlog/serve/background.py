"""A server in a thread of the process that has the store open."""

from __future__ import annotations

import asyncio
import logging
import os
import weakref
from concurrent.futures import Future
from contextlib import suppress
from types import TracebackType

from eventlog.background import BackgroundThread
from eventlog.errors import InvalidArgumentError, InvalidTypeError, from_os_error
from eventlog.options import check_bool, check_number
from eventlog.serve.addresses import check_local
from eventlog.serve.broker import Settings
from eventlog.serve.security.tls import TlsFiles, new_context
from eventlog.serve.served import ServedLog
from eventlog.serve.server import Server, is_shutdown, serve_until

_PORT_MAX = 65_535
_PARTITIONS_MAX = 100_000

log = logging.getLogger("eventlog.serve")

_servers: weakref.WeakSet[BackgroundServer] = weakref.WeakSet()


class BackgroundServer:
    """Serves an open store to clients that speak Kafka's protocol, until `stop`, the end of its `with` block, or the close of
    the store. Created by `EventLog.serve`.

    `host` and `port` are the address at which it listens, `bootstrap` is that address as clients want it. It may be stopped by
    any thread. In a child of fork() it does not exist."""

    def __init__(self, store: ServedLog, settings: Settings, advertised: tuple[str, int] | None) -> None:
        self._store = store
        self._settings = settings
        self._advertised = advertised
        self._server: Server | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_stopped: asyncio.Event | None = None
        self._address: Future[tuple[str, int]] = Future()
        self._failure: BaseException | None = None
        self._thread: BackgroundThread | None = None
        self._process_id = os.getpid()
        self.host = ""
        self.port = 0
        _servers.add(self)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._store.path} at {self.bootstrap}>"

    def __enter__(self) -> BackgroundServer:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def start(self, host: str, port: int) -> None:
        """Listen there, and return once clients can connect. Raises `EventLogError` if that is not possible."""
        self._thread = BackgroundThread("eventlog-server", lambda: self._run(host, port))
        self._thread.start()
        try:
            self.host, self.port = self._address.result()
        except OSError as error:
            self._thread.join()
            raise from_os_error(f"no server can listen at {host}:{port}", error) from error
        except BaseException:
            self.stop()
            raise

    @property
    def bootstrap(self) -> str:
        """The address as HOST:PORT, for the setting `bootstrap.servers` of a client."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_running(self) -> bool:
        """Is it serving? False after `stop`, or if the store was deleted or replaced: then `stop` raises the error."""
        return os.getpid() == self._process_id and self._thread is not None and self._thread.is_alive()

    @property
    def connections(self) -> int:
        """The number of connections of clients."""
        return self._server.connection_count if self._server is not None and self.is_running else 0

    def stop(self) -> None:
        """Accept no more requests, finish the answers in progress, and close the connections; the store stays open. A second
        call does nothing.

        Raises the error that has ended the server before, if there was one."""
        thread = self._thread
        if os.getpid() != self._process_id or thread is None:
            return
        self._address.cancel()  # if it has not begun yet, it ends when it does
        if self._loop is not None and self._is_stopped is not None:
            with suppress(RuntimeError):  # it has ended
                self._loop.call_soon_threadsafe(self._is_stopped.set)
        thread.join()
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    def _run(self, host: str, port: int) -> None:
        try:
            asyncio.run(self._serve(host, port))
        except BaseException as error:
            if not self._address.done():
                self._address.set_exception(error)
            elif not self._address.cancelled() and not (isinstance(error, RuntimeError) and is_shutdown(error)):
                self._failure = error
                log.error("the server at %s has ended: %s: %s", self.bootstrap, type(error).__name__, error)

    async def _serve(self, host: str, port: int) -> None:
        self._is_stopped = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._server = Server(self._store, settings=self._settings, advertised=self._advertised)
        await serve_until(self._is_stopped, self._server, self._store, (host, port), self._address.set_result)

    def leave_to_parent(self) -> None:
        """In a child of fork(): let go of the sockets, whose connections would otherwise stay open until the child ends."""
        if self._server is not None:
            with open(os.devnull, "rb") as nothing:
                for descriptor in self._server.descriptors:
                    if descriptor >= 0:
                        os.dup2(nothing.fileno(), descriptor, inheritable=False)  # the number stays taken: its owner closes it


def start_server(
    store: ServedLog,
    host: str,
    port: int,
    *,
    advertise: tuple[str, int] | None,
    partitions: int,
    auto_create_topics: bool,
    tls: tuple[str, ...] | None,
    users: bool,
    insecure: bool,
) -> BackgroundServer:
    """A server that listens, with the options of `EventLog.serve`."""
    if not isinstance(host, str):
        raise InvalidTypeError(f"host must be a str, not {type(host).__name__}")
    check_number("port", port, 0, _PORT_MAX)
    check_number("partitions", partitions, 1, _PARTITIONS_MAX)
    check_bool("auto_create_topics", auto_create_topics)
    if advertise is not None:
        _check_advertised(advertise)
    files = None if tls is None else _tls_files(tls)
    has_users = check_bool("users", users)
    if not check_bool("insecure", insecure) and not (has_users and files is not None):
        check_local(host)
    settings = Settings(auto_create_topics, partitions, tls=files, has_users=has_users)
    server = BackgroundServer(store, settings, advertise)
    server.start(host, port)
    return server


def _tls_files(paths: object) -> TlsFiles:
    is_right = isinstance(paths, tuple) and len(paths) in (2, 3) and all(isinstance(path, str) for path in paths)
    if not is_right:
        raise InvalidArgumentError(f"tls must be the paths of a certificate and its key, not {paths!r}")
    files = TlsFiles(*paths)  # type: ignore[misc]
    new_context(files)  # before anything begins
    return files


def _check_advertised(address: object) -> None:
    is_pair = isinstance(address, tuple) and len(address) == 2 and isinstance(address[0], str)
    if not is_pair or not address[0]:  # type: ignore[index]
        raise InvalidArgumentError(f"advertise must be a host and a port, such as ('broker.example', 9092), not {address!r}")
    check_number("the port to advertise", address[1], 1, _PORT_MAX)  # type: ignore[index]


def _after_fork_in_child() -> None:
    for server in list(_servers):
        server.leave_to_parent()


os.register_at_fork(after_in_child=_after_fork_in_child)
