"""The HTTP server of `eventlog metrics --listen`, for Prometheus."""

from __future__ import annotations

import signal
import socket
import sys
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import TYPE_CHECKING

from eventlog.cli import output
from eventlog.errors import EventLogError, from_os_error

if TYPE_CHECKING:
    from eventlog import EventLog

_PATH = "/metrics"
_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class _Server(ThreadingHTTPServer):
    """One request is answered at a time: each reads all of the store."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int], log: EventLog) -> None:
        self.log = log
        self.alone = threading.Lock()
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        """Without a look-up of the name of this machine, which may take long."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    server_version = "eventlog"
    sys_version = ""
    timeout = 30  # a client that sends nothing keeps no thread for ever

    def do_GET(self) -> None:
        if self.path.partition("?")[0] != _PATH:
            self._answer(HTTPStatus.NOT_FOUND, f"metrics are at {_PATH}\n", "text/plain")
            return
        try:
            with self.server.alone:
                text = self.server.log.metrics().prometheus()
        except (EventLogError, OSError) as error:
            self._answer(HTTPStatus.INTERNAL_SERVER_ERROR, f"{error}\n", "text/plain")
            return
        self._answer(HTTPStatus.OK, text, _CONTENT_TYPE)

    do_HEAD = do_GET

    def _answer(self, status: HTTPStatus, text: str, content_type: str) -> None:
        content = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, format: str, *arguments: object) -> None:
        """Scrapes are not worth a line each."""


def serve_metrics(log: EventLog, listen: tuple[str, int]) -> None:
    """Answer until SIGTERM or an interrupt. Raises `EventLogError` if the address cannot be used."""
    try:
        server = _Server(listen, log)
    except (OSError, OverflowError) as error:
        failure = error if isinstance(error, OSError) else OSError(str(error))
        raise from_os_error(f"{_text(listen)} cannot be listened at", failure) from error
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with server:
        output.write_line(f"metrics are at http://{_text((listen[0], server.server_port))}{_PATH}")
        output.flush()
        server.serve_forever()


def _text(address: tuple[str, int]) -> str:
    return f"[{address[0]}]:{address[1]}" if ":" in address[0] else f"{address[0]}:{address[1]}"
