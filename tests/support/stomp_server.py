"""A STOMP server with queues in memory, which does wrong what a test asks for."""

from __future__ import annotations

import itertools
import socket
import ssl
import threading
from collections import defaultdict, deque
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

from eventlog.bridges.stomp.frames import Frame, Parser, encode

DROP = "the frame never came"
NO_RECEIPT = "the receipt never arrives"
DISCONNECT = "the connection ends before the frame is handled"
HANDLE_AND_DISCONNECT = "the connection ends after the frame is handled, before its receipt"


class Stored(NamedTuple):
    """A message in a queue."""

    id: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    is_redelivered: bool = False

    def header(self, name: str) -> str | None:
        return next((value for each, value in self.headers if each == name), None)


class StompServer:
    """Serves on a free port of loopback until it is left.

    `fault` is called with each frame that comes, and returns one of the constants of this module, the message of an ERROR, or
    None for no fault. `prefetch` limits the messages that a subscriber has not acknowledged."""

    def __init__(self, name: str = "ActiveMQ/6.0.0", *, tls: ssl.SSLContext | None = None, heart_beat: str = "0,0") -> None:
        self.name, self.heart_beat, self.prefetch = name, heart_beat, 200
        self.users: dict[str, str] = {}
        self.fault: Callable[[Frame], str | None] = lambda frame: None
        self.queues: defaultdict[str, deque[Stored]] = defaultdict(deque)
        self.frames: list[Frame] = []
        self.lock = threading.RLock()
        self.message_numbers = itertools.count(1)
        self.sessions: list[_Session] = []
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._accept)

    def __enter__(self) -> StompServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()
        self.disconnect_all()

    def disconnect_all(self) -> None:
        """End all connections, as a server does that is restarted."""
        for session in list(self.sessions):
            session.end()
            session.thread.join()
        self.sessions.clear()

    def put(self, queue: str, body: bytes, *headers: tuple[str, str], message_id: str | None = None) -> None:
        """Store a message, as if somebody else had sent it."""
        with self.lock:
            self.queues[queue].append(Stored(message_id or f"ID:{next(self.message_numbers)}", headers, body))
            for session in self.sessions:
                session.deliver()

    def bodies(self, queue: str) -> list[bytes]:
        """What is in a queue."""
        with self.lock:
            return [message.body for message in self.queues[queue]]

    def _accept(self) -> None:
        while True:
            try:
                accepted, _ = self._listener.accept()
                accepted = accepted if self._tls is None else self._tls.wrap_socket(accepted, server_side=True)
            except ssl.SSLError:
                continue
            except OSError:
                return
            with self.lock:
                self.sessions.append(_Session(self, accepted))
                self.sessions[-1].thread.start()


class _Session:
    def __init__(self, server: StompServer, connection: socket.socket) -> None:
        self._server, self._socket = server, connection
        self._subscription: tuple[str, str] | None = None
        self._unacknowledged: dict[str, Stored] = {}
        self._transactions: dict[str, list[Frame]] = {}
        self.thread = threading.Thread(target=self._run)

    def end(self) -> None:
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def _run(self) -> None:
        parser = Parser()
        with self._socket, suppress(OSError, _Over):
            while data := self._socket.recv(65536):
                for frame in parser.feed(data):
                    with self._server.lock:
                        self._take(frame)
        with self._server.lock:
            if self._subscription is not None:
                back = [message._replace(is_redelivered=True) for message in self._unacknowledged.values()]
                self._server.queues[self._subscription[1]].extendleft(reversed(back))
                self._subscription = None
            if self in self._server.sessions:
                self._server.sessions.remove(self)
            for session in self._server.sessions:
                session.deliver()

    def _take(self, frame: Frame) -> None:
        self._server.frames.append(frame)
        fault = self._server.fault(frame)
        if fault == DISCONNECT:
            raise _Over
        if fault not in (None, DROP, NO_RECEIPT, HANDLE_AND_DISCONNECT):
            self._send("ERROR", ("message", str(fault)))
            raise _Over
        if fault != DROP:
            self._handle(frame)
        if fault == HANDLE_AND_DISCONNECT:
            raise _Over
        receipt = frame.header("receipt")
        if receipt is not None and fault is None:
            self._send("RECEIPT", ("receipt-id", receipt))

    def _handle(self, frame: Frame) -> None:
        transaction = frame.header("transaction")
        if frame.command in ("CONNECT", "STOMP"):
            self._log_in(frame)
        elif frame.command == "BEGIN":
            self._transactions[transaction or ""] = []
        elif frame.command == "COMMIT":
            for each in self._transactions.pop(transaction or ""):
                self._do(each)
        elif transaction is not None:
            self._transactions[transaction].append(frame)
        else:
            self._do(frame)

    def _do(self, frame: Frame) -> None:
        if frame.command == "SEND":
            headers = [(name, value) for name, value in frame.headers() if name not in ("destination", "transaction")]
            self._server.put(frame.header("destination") or "", frame.body, *headers)
        elif frame.command == "SUBSCRIBE":
            self._subscription = (frame.header("id") or "", frame.header("destination") or "")
            self.deliver()
        elif frame.command in ("ACK", "NACK"):
            self._settle(frame.header("id") or "", is_alone=frame.command == "NACK")
            self.deliver()

    def _log_in(self, frame: Frame) -> None:
        users = self._server.users
        if users and users.get(frame.header("login") or "") != frame.header("passcode"):
            self._send("ERROR", ("message", f"User name [{frame.header('login')}] or password is invalid."))
            raise _Over
        beat = self._server.heart_beat
        self._send("CONNECTED", ("version", "1.2"), ("server", self._server.name), ("heart-beat", beat))

    def _settle(self, number: str, *, is_alone: bool) -> None:
        if is_alone:
            self._server.queues["DLQ"].append(self._unacknowledged.pop(number))
            return
        while number in self._unacknowledged:
            del self._unacknowledged[next(iter(self._unacknowledged))]

    def deliver(self) -> None:
        """Give the subscriber what it may have."""
        if self._subscription is None:
            return
        queue = self._server.queues[self._subscription[1]]
        while queue and len(self._unacknowledged) < self._server.prefetch:
            message = queue.popleft()
            number = str(next(self._server.message_numbers))
            self._unacknowledged[number] = message
            subscription, destination = self._subscription
            own = (("message-id", message.id), ("ack", number), ("destination", destination), ("subscription", subscription))
            redelivered = (("redelivered", "true"),) if message.is_redelivered else ()
            others = [header for header in message.headers if header[0] not in ("content-length", "receipt")]
            with suppress(OSError):
                self._send("MESSAGE", *own, *redelivered, *others, body=message.body)

    def _send(self, command: str, *headers: tuple[str, str], body: bytes | None = None) -> None:
        self._socket.sendall(encode(command, headers, body))


class _Over(Exception):
    """This connection is to end."""
