"""The pages of `eventlog metrics --listen`, for Prometheus."""

from __future__ import annotations

import threading
from http import HTTPStatus
from typing import TYPE_CHECKING

from eventlog.cli import output
from eventlog.cli.http_server import HttpHandler, HttpServer
from eventlog.errors import EventLogError

if TYPE_CHECKING:
    from eventlog import EventLog

_PATH = "/metrics"
_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class _Server(HttpServer):
    """One request is answered at a time: each reads all of the store."""

    def __init__(self, address: tuple[str, int], log: EventLog) -> None:
        self.log = log
        self.alone = threading.Lock()
        super().__init__(address, _Handler)


class _Handler(HttpHandler):
    server: _Server

    def do_GET(self) -> None:
        if self.path.partition("?")[0] != _PATH:
            self.answer(HTTPStatus.NOT_FOUND, f"metrics are at {_PATH}\n", "text/plain")
            return
        try:
            with self.server.alone:
                text = self.server.log.metrics().prometheus()
        except (EventLogError, OSError) as error:
            self.answer(HTTPStatus.INTERNAL_SERVER_ERROR, f"{error}\n", "text/plain")
            return
        self.answer(HTTPStatus.OK, text, _CONTENT_TYPE)

    do_HEAD = do_GET


def serve_metrics(log: EventLog, listen: tuple[str, int]) -> None:
    """Answer until SIGTERM or an interrupt. Raises `EventLogError` if the address cannot be used."""
    _Server(listen, log).serve_until_stopped(_announce)


def _announce(address: str) -> None:
    output.write_line(f"metrics are at http://{address}{_PATH}")
    output.flush()
