"""TLS: the server's certificate, and the layer that encrypts a connection.

asyncio has a layer of its own, but in Python 3.10 it cannot pause, and it hides a connection until its handshake is done. This
one is a transport to the connection above it from the first byte on, so that slow handshakes count among the connections.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, NamedTuple, NoReturn

from eventlog.errors import InvalidArgumentError
from eventlog.serve.connection import Connection

CHUNK_BYTES = 64 * 1024
_JOINED_BYTES_MAX = 64 * 1024
_UNSENT_BYTES_MAX = 256 * 1024  # encrypted, before it is given to the socket

log = logging.getLogger("eventlog.serve")


class TlsFiles(NamedTuple):
    """The paths of PEM files: the server's certificate with those that vouch for it, its private key, and the authorities whose
    clients may connect; without these, clients need no certificate."""

    certificate: str
    key: str
    client_authorities: str | None = None


def new_context(files: TlsFiles) -> ssl.SSLContext:
    """The settings of TLS, from version 1.2 on. Raises `InvalidArgumentError` if a file cannot be used."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    path = files.certificate
    try:
        open(files.certificate, "rb").close()  # OpenSSL would not say which of the two is missing
        path = files.key
        open(files.key, "rb").close()
        context.load_cert_chain(files.certificate, files.key, password=_refuse_password)
        if files.client_authorities is not None:
            path = files.client_authorities
            context.load_verify_locations(files.client_authorities)
            context.verify_mode = ssl.CERT_REQUIRED
    except ssl.SSLError as error:
        reason = error.reason or str(error)
        raise InvalidArgumentError(f"{path}: not a PEM file that TLS can use, or the key of another: {reason}") from None
    except OSError as error:
        raise InvalidArgumentError(f"{path}: {error.strerror or error}") from None
    return context


def _refuse_password() -> NoReturn:
    raise OSError("the key needs a password: store it without one, readable only by the user that runs the server")


class TlsLayer(asyncio.BufferedProtocol, asyncio.Transport):
    """A protocol to a socket's transport, and a transport to the protocol of a connection: what passes is encrypted."""

    def __init__(self, context: ssl.SSLContext, connection: Connection, chunk: memoryview, shaken: Callable[[], None]) -> None:
        """`chunk` takes encrypted bytes for a moment; all connections of an event loop share it. `shaken` is called when the
        handshake is done."""
        super().__init__()
        self._received, self._unsent = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._received, self._unsent, server_side=True)
        self._connection = connection
        self._chunk = chunk
        self._shaken = shaken
        self._is_shaken = False
        self._is_reading = True
        self._has_ended = False  # the connection knows that the client sends nothing more

    _transport: asyncio.Transport

    # --- the protocol --------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is connected; the handshake comes with the first bytes."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._connection.connection_made(self)

    def get_buffer(self, sizehint: int) -> memoryview:
        """The buffer for the next encrypted bytes."""
        return self._chunk

    def buffer_updated(self, nbytes: int) -> None:
        """Encrypted bytes have arrived."""
        self._received.write(self._chunk[:nbytes])
        self._decrypt()

    def eof_received(self) -> bool:
        """The client sends nothing more."""
        self._end()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is closed."""
        self._has_ended = True
        self._connection.connection_lost(exc)
        del self._tls, self._received, self._unsent  # which take more memory than to wait for a collection of garbage

    def pause_writing(self) -> None:
        """The client does not read."""
        self._connection.pause_writing()

    def resume_writing(self) -> None:
        """The client reads again."""
        self._connection.resume_writing()

    def _decrypt(self) -> None:
        """Give the connection what can be decrypted, as far as it reads."""
        if self._has_ended or self.is_closing():
            return
        try:
            if not self._is_shaken:
                self._tls.do_handshake()
                self._is_shaken = True
                self._shaken()
                if self.is_closing():
                    return
            while self._is_reading and (room := self._connection.get_buffer(-1)):
                count: int = self._tls.read(len(room), room)  # type: ignore[assignment]  # a count, with a buffer
                if not count:
                    self._end()
                    break
                self._connection.buffer_updated(count)
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as error:
            self._flush()  # tells the client, too
            peer = self.get_extra_info("peername") or "?"
            log.warning("%s:%s: closed: TLS: %s", peer[0], peer[1], error.reason or error)
            self._transport.close()
            return
        self._flush()

    def _end(self) -> None:
        if not self._has_ended:
            self._has_ended = True
            self._connection.eof_received()

    # --- the transport -------------------------------------------------------------------------------------

    def write(self, data: Any) -> None:
        """Encrypt and send bytes."""
        self.writelines([data])

    def writelines(self, list_of_data: Iterable[Any]) -> None:
        """Encrypt and send pieces; small ones share their records."""
        pieces = list(list_of_data)
        if len(pieces) > 1 and sum(map(len, pieces)) <= _JOINED_BYTES_MAX:
            pieces = [b"".join(pieces)]
        try:
            for piece in pieces:
                left = memoryview(piece)
                while left and not self.is_closing():
                    left = left[self._tls.write(left) :]
                    if self._unsent.pending > _UNSENT_BYTES_MAX:
                        self._flush()
        except ssl.SSLError:  # the client has ended the encrypted connection
            self.abort()
            return
        self._flush()

    def _flush(self) -> None:
        if not self.is_closing() and self._unsent.pending:
            self._transport.write(self._unsent.read())

    def close(self) -> None:
        """Send what is left, say that nothing follows, and close."""
        if self.is_closing():
            return
        if self._is_shaken:
            with suppress(ssl.SSLError):  # the client need not confirm it
                self._tls.unwrap()
            self._flush()
        self._transport.close()

    def abort(self) -> None:
        """Close immediately."""
        self._transport.abort()

    def is_closing(self) -> bool:
        """Is nothing sent any more?"""
        return self._transport.is_closing()

    def pause_reading(self) -> None:
        """Take nothing more from the socket, nor from what has arrived."""
        self._is_reading = False
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Take what has arrived, and read on."""
        self._is_reading = True
        self._transport.resume_reading()
        asyncio.get_running_loop().call_soon(self._decrypt)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """The sizes of what is unsent at which writing pauses and resumes."""
        self._transport.set_write_buffer_limits(high, low)

    def get_write_buffer_size(self) -> int:
        """The encrypted bytes that are not sent yet."""
        return self._transport.get_write_buffer_size()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """What is known of the socket."""
        return self._transport.get_extra_info(name, default)
