"""The server of `eventlog web`: one page, and what it asks for as JSON. It reads only."""

from __future__ import annotations

import hmac
import json
import threading
from collections.abc import Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from eventlog.cli.http_server import HttpHandler, HttpServer
from eventlog.cli.screens.history import History
from eventlog.cli.web_answers import ANSWERS, BadRequestError, snapshot_object
from eventlog.cli.web_page import load_page
from eventlog.errors import EventLogError, GroupNotFoundError, TopicNotFoundError

if TYPE_CHECKING:
    from eventlog import EventLog

_LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")
_QUIET_SECONDS = 15  # after that, a comment shows whether the client is still there
_JSON = "application/json; charset=utf-8"
_HEADERS = (
    ("Cache-Control", "no-store"),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
)


class Sampler:
    """Takes a sample at each interval, in its own thread, for all who listen."""

    def __init__(self, log: EventLog, seconds: float, stopping: threading.Event) -> None:
        self._history = History(log)
        self._seconds = seconds
        self._stopping = stopping
        self._changed = threading.Condition()
        self._number = 0
        self._latest = b"{}"
        self._first = b"{}"

    def run(self) -> None:
        """Take samples until the server stops."""
        while not self._stopping.is_set():
            try:
                snapshot = self._history.sample()
                latest, first = (snapshot_object(snapshot, self._seconds, has_past=past) for past in (False, True))
            except (EventLogError, OSError) as error:
                latest = first = {"error": str(error)}
            with self._changed:
                self._number += 1
                self._latest, self._first = _encoded(latest), _encoded(first)
                self._changed.notify_all()
            self._stopping.wait(self._seconds)
        with self._changed:
            self._changed.notify_all()

    def after(self, number: int) -> tuple[int, bytes | None]:
        """The sample after the one with this number (0: the latest, with the past), with its own number; None if there is none
        within some seconds, or the server stops."""
        with self._changed:
            self._changed.wait_for(lambda: self._number > number or self._stopping.is_set(), _QUIET_SECONDS)
            if self._number <= number or self._stopping.is_set():
                return number, None
            return self._number, self._first if number == 0 else self._latest


class StoreServer(HttpServer):
    """Shows a store. Raises `EventLogError` if the address cannot be used."""

    def __init__(self, log: EventLog, address: tuple[str, int], store_name: str, seconds: float, token: str | None) -> None:
        self._thread = threading.Thread(target=lambda: self.sampler.run(), name="sampler")
        super().__init__(address, StoreHandler)
        self.log = log
        self.token = token
        self.page = load_page(store_name)
        host = f"[{address[0]}]" if ":" in address[0] else address[0]
        self.host_names = {*_LOOPBACK_NAMES, host.lower()}
        self.sampler = Sampler(log, seconds, self.stopping)

    def begin(self) -> None:
        """Take samples."""
        self._thread.start()

    def server_close(self) -> None:
        """Stop everything that it has begun."""
        super().server_close()
        if self._thread.ident is not None:  # else it has not begun, such as when the address cannot be used
            self._thread.join()


class StoreHandler(HttpHandler):
    """Answers the page's requests."""

    server: StoreServer

    def do_GET(self) -> None:
        """The page, or something in the store."""
        url = urlsplit(self.path)
        if not self._names_this_server():
            self._refuse(HTTPStatus.FORBIDDEN, "the Host of this request is not this server")
        elif url.path == "/":
            self.answer(
                HTTPStatus.OK, self.server.page.content, "text/html; charset=utf-8",
                (*_HEADERS, ("Content-Security-Policy", self.server.page.policy)),
            )  # fmt: skip
        elif not url.path.startswith("/api/"):
            self._refuse(HTTPStatus.NOT_FOUND, "there is nothing here: the page is at /")
        elif not self._has_token():
            self._refuse(HTTPStatus.UNAUTHORIZED, "a token is needed")
        elif url.path == "/api/events" and self.command == "GET":
            self._stream()
        else:
            self._look_up(url.path.removeprefix("/api/"), url.query)

    do_HEAD = do_GET

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What is wrong with a request, as text."""
        self._refuse(HTTPStatus(code), message or HTTPStatus(code).phrase)

    def _names_this_server(self) -> bool:
        """A page of somebody else may let the name of its own server mean this machine; then that name is the request's Host.
        With a token, which such a page does not know, this server may have any name."""
        host = self.headers.get("Host", "").lower()
        name = host if host.endswith("]") else host.rpartition(":")[0] or host
        return self.server.token is not None or name in self.server.host_names

    def _has_token(self) -> bool:
        if self.server.token is None:
            return True
        scheme, _, given = self.headers.get("Authorization", "").partition(" ")
        return scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), self.server.token.encode())

    def _look_up(self, name: str, query: str) -> None:
        answer = ANSWERS.get(name)
        if answer is None:
            self._refuse(HTTPStatus.NOT_FOUND, "there is nothing of this name")
            return
        try:
            fields = {name: values[-1] for name, values in parse_qs(query, max_num_fields=20, errors="surrogateescape").items()}
            found = answer(self.server.log, fields)
        except (BadRequestError, ValueError) as error:
            status, found = HTTPStatus.BAD_REQUEST, {"error": str(error)}
        except (TopicNotFoundError, GroupNotFoundError) as error:
            status, found = HTTPStatus.NOT_FOUND, {"error": str(error)}
        except (EventLogError, OSError) as error:
            status, found = HTTPStatus.INTERNAL_SERVER_ERROR, {"error": str(error)}
        else:
            status = HTTPStatus.OK
        self.answer(status, _encoded(found), _JSON, _HEADERS)

    def _stream(self) -> None:
        """Each sample as a server-sent event, until the client leaves or the server stops."""
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "text/event-stream; charset=utf-8")
        for name, value in _HEADERS:
            self.send_header(name, value)
        self.end_headers()
        number = 0
        while not self.server.stopping.is_set():
            number, sample = self.server.sampler.after(number)
            self.wfile.write(b": still here\n\n" if sample is None else b"data: " + sample + b"\n\n")

    def _refuse(self, status: HTTPStatus, reason: str) -> None:
        self.answer(status, _encoded({"error": reason}), _JSON, _HEADERS)


def _encoded(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


