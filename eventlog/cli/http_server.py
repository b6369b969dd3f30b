"""A small HTTP server for `eventlog metrics --listen` and `eventlog web`, for a limited number of clients."""

from __future__ import annotations

import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import Any

from eventlog.errors import from_os_error

_CLIENTS_MAX = 64
_TOO_MANY = b"HTTP/1.0 503 Service Unavailable\r\nContent-Length: 0\r\nRetry-After: 5\r\n\r\n"


class HttpServer(ThreadingHTTPServer):
    """Serves each connection with a thread. `stopping` is set when it ends, so that long answers end, too."""

    daemon_threads = False
    request_queue_size = 64

    def __init__(self, address: tuple[str, int], handler: type[HttpHandler], clients_max: int = _CLIENTS_MAX) -> None:
        """Listen. Raises `EventLogError` if the address cannot be used."""
        self.stopping = threading.Event()
        self._host = address[0]
        self._clients: set[socket.socket] = set()
        self._clients_max = clients_max
        self._lock = threading.Lock()
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        try:
            super().__init__(address, handler)
        except (OSError, OverflowError) as error:
            failure = error if isinstance(error, OSError) else OSError(str(error))
            raise from_os_error(f"{address_text(address)} cannot be listened at", failure) from error

    def server_bind(self) -> None:
        """Without a look-up of the name of this machine, which may take long."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve a connection, unless there are too many."""
        with self._lock:
            is_welcome = len(self._clients) < self._clients_max
            if is_welcome:
                self._clients.add(request)
        if is_welcome:
            super().process_request(request, client_address)
            return
        request.settimeout(0.1)
        with suppress(OSError):
            request.sendall(_TOO_MANY)
        self.shutdown_request(request)

    def shutdown_request(self, request: Any) -> None:
        """End a connection."""
        with self._lock:
            self._clients.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is not worth a word; anything else is shown."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)

    def server_close(self) -> None:
        """Stop listening, end all connections, and wait for their threads."""
        self.stopping.set()
        with self._lock:
            clients = list(self._clients)
        for client in clients:
            with suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)
        super().server_close()

    def begin(self) -> None:
        """Begin what runs beside the answers; `server_close` ends it."""

    def serve_until_stopped(self, announce: Callable[[str], None]) -> None:
        """Serve until SIGTERM, which is a normal end, or an interrupt; `announce` is first told HOST:PORT.

        Both may come as soon as the address is known, so that everything is ready before."""
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        with self:
            self.begin()
            announce(address_text((self._host, self.server_port)))
            self.serve_forever()


class HttpHandler(BaseHTTPRequestHandler):
    """Answers the requests of one connection."""

    server_version = "eventlog"
    sys_version = ""
    timeout = 30  # a client that sends nothing, or takes nothing, keeps no thread for ever

    def answer(
        self, status: HTTPStatus, content: str | bytes, content_type: str, headers: Iterable[tuple[str, str]] = ()
    ) -> None:
        """Send a whole answer; without its content if the client asked so."""
        data = content.encode() if isinstance(content, str) else content
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(data)))
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def log_message(self, format: str, *arguments: object) -> None:
        """Requests are not worth a line each."""


def address_text(address: tuple[str, int]) -> str:
    """An address as it stands in a URL."""
    return f"[{address[0]}]:{address[1]}" if ":" in address[0] else f"{address[0]}:{address[1]}"
