"""A connection to a STOMP 1.2 server: login, heart-beats, and frames both ways that never wait for a full socket."""

from __future__ import annotations

import re
import select
import socket
import ssl
from collections.abc import Iterable
from time import monotonic
from typing import NamedTuple

from eventlog.bridges.stomp.frames import HEART_BEAT, Frame, FrameError, Parser, encode, encode_raw
from eventlog.errors import BridgeError, ConnectionLostError

CONNECT_SECONDS_MAX = 8.0
HEART_BEAT_SECONDS = 30.0
_HEART_BEATS_MISSED_MAX = 2.5  # intervals of silence after which the server counts as gone
_RECEIVE_BYTES = 256 * 1024
_RECEIVED_BYTES_MAX = 1024 * 1024  # in one exchange
_SEND_BYTES = 256 * 1024
_COMPLAINT_CHARACTERS_MAX = 300
# What Classic and Artemis say to a wrong login, and to one that has no right to do what was asked.
_FOR_GOOD = re.compile(r"password is invalid|not authorized|permission|authenticat|unable to validate user", re.IGNORECASE)
_WOULD_WAIT = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class ErrorFrameError(ConnectionLostError):
    """The server answered with an ERROR frame, after which it ends the connection."""


class Address(NamedTuple):
    """Where a server is, and as whom to log in there: without a `login`, as nobody. `tls` encrypts the connection. `client_id`
    names the owner of durable subscriptions."""

    host: str
    port: int
    login: str | None = None
    password: str | None = None
    tls: ssl.SSLContext | None = None
    client_id: str | None = None
    heart_beat_seconds: float = HEART_BEAT_SECONDS

    def __repr__(self) -> str:
        """Without the password, which must not get into a message."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"stomp{'' if self.tls is None else 's'}://{host}:{self.port}"

    def __str__(self) -> str:
        return repr(self)

    def without_password(self, text: str) -> str:
        """A text of the server's with *** for the password, should it have told it."""
        return text.replace(self.password, "***") if self.password else text


class Connection:
    """A connection that is logged in. One thread uses it, and calls `exchange` at least twice in `heart_beat_seconds`.

    Raises `ConnectionLostError` if it cannot be established now, and `BridgeError` if the login or the certificate is refused.
    After either from any method, only `close` is left. `server` is what the server calls itself."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._parser = Parser()
        self._unsent = bytearray()
        self._failure: ConnectionLostError | BridgeError | None = None
        self._write_error: OSError | None = None
        self._send_interval = self._receive_interval = 0.0
        self._socket = _connected(address)
        self._sent_at = self._received_at = monotonic()
        try:
            self.server = self._log_in(monotonic() + CONNECT_SECONDS_MAX)
        except BaseException:
            self._socket.close()
            raise

    @property
    def is_artemis(self) -> bool:
        """Is it Artemis, and not Classic, whose options and promises differ?"""
        return self.server.startswith("ActiveMQ-Artemis")

    @property
    def unsent_bytes(self) -> int:
        """What the socket has not taken yet."""
        return len(self._unsent)

    def send(self, command: str, headers: Iterable[tuple[str, str]] = (), body: bytes | None = None) -> None:
        """Send a frame with the next exchanges."""
        self._unsent += encode(command, headers, body)

    def send_raw(self, command: str, head: bytes, body: bytes, *, has_length: bool = True) -> None:
        """Send a frame, whose header lines are encoded, with the next exchanges."""
        self._unsent += encode_raw(command, head, body, has_length=has_length)

    def exchange(self, timeout: float) -> list[Frame]:
        """Send what the socket takes and return what has come. If nothing has, wait for that up to `timeout` seconds.

        Raises `ErrorFrameError` for an ERROR frame, `FrameError` and other `ConnectionLostError`s, and `BridgeError` if this
        login has not the right to do what was asked; but frames that came before that are returned first."""
        deadline = monotonic() + timeout
        if self._failure is not None:
            raise self._failure
        try:
            frames = self._checked(self._parser.feed(b""))
            while True:
                self._write()
                frames += self._checked(self._parser.feed(self._read()))
                if frames or self._failure is not None or not self._wait(deadline):
                    break
        except OSError as error:
            self._failure = ConnectionLostError(f"the connection to {self._address} was lost: {error}")
        except ConnectionLostError as error:
            self._failure = error
        if self._failure is not None and not frames:
            raise self._failure
        return frames

    def close(self) -> None:
        """Close the connection at once. Raises nothing."""
        self._socket.close()

    def _write(self) -> None:
        now = monotonic()
        if not self._unsent and self._send_interval and now - self._sent_at > self._send_interval / 2:
            self._unsent += HEART_BEAT
        while self._unsent:
            try:
                with memoryview(self._unsent) as unsent:
                    count = self._socket.send(unsent[:_SEND_BYTES])
            except _WOULD_WAIT:
                return
            except OSError as error:
                # The server may have said why before it closed the connection, and that has to be read yet.
                self._write_error = error
                self._unsent.clear()
                return
            del self._unsent[:count]
            self._sent_at = now

    def _read(self) -> bytes:
        """What has come, without waiting."""
        chunks: list[bytes] = []
        count = 0
        try:
            while count < _RECEIVED_BYTES_MAX:
                chunk = self._socket.recv(_RECEIVE_BYTES)
                if not chunk:
                    if not chunks:
                        raise ConnectionLostError(f"{self._address} closed the connection")
                    break
                chunks.append(chunk)
                count += len(chunk)
        except _WOULD_WAIT:
            pass
        now = monotonic()
        if chunks:
            self._received_at = now
        elif self._write_error is not None:
            raise self._write_error
        elif self._receive_interval and now - self._received_at > self._receive_interval * _HEART_BEATS_MISSED_MAX:
            raise ConnectionLostError(f"{self._address} has sent nothing for {now - self._received_at:.0f} seconds")
        return b"".join(chunks)

    def _wait(self, deadline: float) -> bool:
        """Wait until the socket can be used or a heart-beat is due; False at the deadline."""
        now = monotonic()
        if now >= deadline:
            return False
        seconds = deadline - now
        if self._send_interval:
            seconds = min(seconds, max(0.0, self._sent_at + self._send_interval / 2 - now) + 0.001)
        poll = select.poll()
        poll.register(self._socket, select.POLLIN | (select.POLLOUT if self._unsent else 0))
        poll.poll(seconds * 1000)
        return True

    def _checked(self, frames: list[Frame]) -> list[Frame]:
        """The frames before an ERROR, which becomes the failure of this connection."""
        for index, frame in enumerate(frames):
            if frame.command == "ERROR":
                self._failure = self._error_of(frame)
                return frames[:index]
        return frames

    def _error_of(self, frame: Frame) -> ConnectionLostError | BridgeError:
        said = frame.header("message") or frame.body.decode(errors="replace").partition("\n")[0]
        shown = self._address.without_password(said)[:_COMPLAINT_CHARACTERS_MAX]
        kind = BridgeError if _FOR_GOOD.search(said) else ErrorFrameError
        return kind(f"{self._address} refuses: {shown or 'it does not say why'}")

    def _log_in(self, deadline: float) -> str:
        self.send("CONNECT", self._login())
        frames = self.exchange(CONNECT_SECONDS_MAX)
        while not frames:
            if monotonic() >= deadline:
                raise ConnectionLostError(f"{self._address} does not answer: is it a STOMP server?")
            frames = self.exchange(max(0.0, deadline - monotonic()))
        answer = frames[0]
        version = answer.header("version") if answer.command == "CONNECTED" else None
        if version != "1.2":
            raise BridgeError(f"{self._address} does not speak STOMP 1.2, which is needed: it answers {answer.command[:40]}")
        self._agree_on_heart_beats(answer.header("heart-beat") or "0,0")
        return answer.header("server") or ""

    def _login(self) -> Iterable[tuple[str, str]]:
        address = self._address
        milliseconds = round(address.heart_beat_seconds * 1000)
        yield "accept-version", "1.2"
        yield "host", address.host
        yield "heart-beat", f"{milliseconds},{milliseconds}"
        if address.login is not None:
            yield "login", address.login
            yield "passcode", address.password or ""
        if address.client_id is not None:
            yield "client-id", address.client_id

    def _agree_on_heart_beats(self, offered: str) -> None:
        numbers = re.fullmatch(r"([0-9]{1,9}),([0-9]{1,9})", offered)
        if numbers is None:
            raise FrameError(f"{self._address} offers the invalid heart-beat {offered[:40]!r}")
        ours = self._address.heart_beat_seconds
        it_sends, it_wants = (int(number) / 1000 for number in numbers.groups())
        self._receive_interval = max(it_sends, ours) if it_sends and ours else 0.0
        self._send_interval = max(it_wants, ours) if it_wants and ours else 0.0


def _connected(address: Address) -> socket.socket:
    try:
        plain = socket.create_connection((address.host, address.port), timeout=CONNECT_SECONDS_MAX)
        try:
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if address.tls is not None:
                plain = address.tls.wrap_socket(plain, server_hostname=address.host)
            plain.setblocking(False)
        except BaseException:
            plain.close()
            raise
    except ssl.SSLCertVerificationError as error:
        raise BridgeError(f"the certificate of {address} is not valid: {error.verify_message}") from error
    except OSError as error:
        raise ConnectionLostError(f"{address} cannot be reached: {error}") from error
    return plain
