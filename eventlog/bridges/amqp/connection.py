"""A connection to RabbitMQ that does its work when it is told to, by pika.

pika's own loop would run for ever, and its connection that blocks publishes one message at a time. Here the bridge calls
`attend` whenever it has time, and all callbacks run in there."""

from __future__ import annotations

import ssl
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pika
import pika.exceptions
import pika.spec

from eventlog.bridges.amqp.wire import OnDelivery, RawProperties, Wire
from eventlog.bridges.url import Url
from eventlog.errors import BridgeError, ConnectionLostError, EventLogError, InvalidArgumentError

SYSTEM = "rabbitmq"
ANSWER_SECONDS_MAX = 8.0
_CLOSE_SECONDS_MAX = 4.0
_PORT, _PORT_OF_TLS = 5672, 5671
_HEARTBEAT_SECONDS = 60
# As RabbitMQ's own clients name them in a URL.
_TLS_OPTIONS = {"cacertfile", "certfile", "keyfile", "verify", "server_name_indication"}
OPTIONS = {"heartbeat", *_TLS_OPTIONS}
_REFUSED_FOR_GOOD = {pika.spec.ACCESS_REFUSED, pika.spec.NOT_ALLOWED}


class Connection:
    """One connection with one channel, which opens again as often as it is told to."""

    def __init__(self, url: Url) -> None:
        """Raises `InvalidArgumentError` for a URL that cannot be one of RabbitMQ."""
        self.label = str(url)
        self._parameters = _parameters(url)
        self._wire: Any = None
        self._error: BaseException | None = None
        self.channel: Any = None
        self.is_blocked = False

    def open(self) -> None:
        """Connect and log in. Raises `ConnectionLostError`, or `BridgeError` if RabbitMQ refuses the login."""
        self.close()
        pika.spec.props[pika.BasicProperties.INDEX] = RawProperties
        self._error = None
        self.is_blocked = False
        opened: list[Any] = []
        self._wire = Wire(self._parameters, opened.append, self._failed, self._failed)
        self._wire.ioloop.activate_poller()
        self._wait_for(lambda: bool(opened), "it does not answer")
        self._wire.add_on_connection_blocked_callback(self._note_blocked)
        self._wire.add_on_connection_unblocked_callback(self._note_unblocked)
        self.open_channel()

    def open_channel(self) -> None:
        """A new channel in place of the one that there was. Raises `ConnectionLostError`."""
        self._error = None
        self.channel = self._wire.channel()
        self.channel.add_on_close_callback(self._failed)
        self._wait_for(lambda: self.channel.is_open, "it opens no channel")

    def _note_blocked(self, *_: object) -> None:
        self.is_blocked = True

    def _note_unblocked(self, *_: object) -> None:
        self.is_blocked = False

    def _failed(self, _: object, error: BaseException) -> None:
        self._error = self._error or error

    @property
    def frame_bytes_max(self) -> int:
        """How large one frame may be, in bytes."""
        return int(self._wire.params.frame_max)

    def gathering(self) -> Any:
        """A block in which messages are published, and sent at its end."""
        return self._wire.gathering()

    def publish(self, exchange: bytes, routing_key: bytes, encoded: bytes, body: bytes) -> None:
        """Publish a mandatory message. Raises `ConnectionLostError` if the channel has ended."""
        if not self.channel.is_open:
            self.check()
        self._wire.publish(self.channel.channel_number, exchange, routing_key, encoded, body)

    def on_delivery(self, callback: OnDelivery) -> None:
        """Have this called for each message that comes from now on."""
        self._wire.on_delivery = callback

    def attend(self, timeout: float) -> None:
        """Send and receive what there is, or wait up to `timeout` seconds for something; answer heartbeats.

        Raises `ConnectionLostError` or `BridgeError` if the channel or the connection has ended."""
        self._poll(timeout)
        self.check()

    def check(self) -> None:
        """Raise the error that `attend` raises if the channel or the connection has ended."""
        if self._error is not None:
            raise translated(self.label, self._error) from self._error
        if self._wire is None:
            raise ConnectionLostError(f"{self.label}: not connected")

    def _poll(self, timeout: float) -> None:
        loop = self._wire.ioloop
        timer = loop.call_later(max(timeout, 0), _nothing)
        try:
            loop.poll()
            loop.process_timeouts()
        except (pika.exceptions.AMQPError, struct.error, LookupError) as error:  # what the other side sent makes no sense
            self._failed(None, error)
            self._wire.cut()
        finally:
            loop.remove_timeout(timer)

    def _wait_for(self, is_done: Callable[[], bool], otherwise: str, seconds: float = ANSWER_SECONDS_MAX) -> None:
        deadline = time.monotonic() + seconds
        while not is_done():
            if self._error is not None:
                self.check()
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                raise ConnectionLostError(f"{self.label}: {otherwise} within {seconds:.0f} seconds")
            self._poll(remaining)

    def call(self, method: Callable[..., object], *arguments: object, **named: object) -> Any:
        """Call a method of the channel, and return the method with which RabbitMQ answers it.

        Raises `pika.exceptions.ChannelClosedByBroker` if RabbitMQ refuses it, and `ConnectionLostError`."""
        answers: list[Any] = []
        with suppress(pika.exceptions.ChannelWrongStateError):
            method(*arguments, **named, callback=answers.append)
        deadline = time.monotonic() + ANSWER_SECONDS_MAX
        while not answers:
            if isinstance(self._error, pika.exceptions.ChannelClosedByBroker):
                raise self._error
            if self._error is not None:
                self.check()
            self._wait_for(lambda: bool(answers or self._error), "it does not answer", deadline - time.monotonic())
        return answers[0].method

    def close(self) -> None:
        """Disconnect: if the other side listens, after all that was sent has arrived there."""
        wire, self._wire, self.channel = self._wire, None, None
        if wire is None:
            return
        self._wire = wire
        try:
            if wire.is_open and not self.is_blocked:
                with suppress(pika.exceptions.AMQPError):
                    wire.close()
                deadline = time.monotonic() + _CLOSE_SECONDS_MAX
                while not wire.is_closed and time.monotonic() < deadline:
                    self._poll(deadline - time.monotonic())
            if not wire.is_closed:
                wire.cut()
                self._poll(0)
        finally:
            self._wire = None
            wire.ioloop.deactivate_poller()
            wire.ioloop.close()


def _nothing() -> None:
    """What a timer calls that only ends a wait."""


def _parameters(url: Url) -> Any:
    host, port = url.host(_PORT_OF_TLS if url.scheme == "amqps" else _PORT)
    heartbeat = url.options.get("heartbeat", str(_HEARTBEAT_SECONDS))
    if not (heartbeat.isascii() and heartbeat.isdigit() and len(heartbeat) < 6):
        raise InvalidArgumentError(f"{url}: heartbeat must be a number of seconds")
    user = "guest" if url.user is None else url.user
    password = "guest" if url.password is None and url.user is None else url.password or ""
    return pika.ConnectionParameters(
        host,
        port,
        virtual_host=url.path[1:] or "/",
        credentials=pika.PlainCredentials(user, password),
        heartbeat=int(heartbeat),
        socket_timeout=ANSWER_SECONDS_MAX,
        stack_timeout=ANSWER_SECONDS_MAX,
        client_properties={"connection_name": "eventlog"},
        ssl_options=_ssl_options(url, host) if url.scheme == "amqps" else None,
    )


def _ssl_options(url: Url, host: str) -> Any:
    options = url.options
    try:
        context = ssl.create_default_context(cafile=options.get("cacertfile"))
        if options.get("verify", "verify_peer") == "verify_none":
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if "certfile" in options:
            context.load_cert_chain(options["certfile"], options.get("keyfile"))
    except (OSError, ValueError) as error:
        raise InvalidArgumentError(f"{url}: its certificates cannot be used: {error}") from error
    return pika.SSLOptions(context, options.get("server_name_indication", host))


def translated(label: str, error: BaseException) -> EventLogError:
    """Ours for an error of pika: `BridgeError` if it is the login, the certificate or the virtual host, and
    `ConnectionLostError` else."""
    cause = _cause(error)
    if isinstance(cause, pika.exceptions.ConnectionClosedByBroker) and cause.reply_code in _REFUSED_FOR_GOOD:
        return BridgeError(f"{label}: RabbitMQ refuses the login: {cause.reply_text}")
    if isinstance(cause, pika.exceptions.ProbableAuthenticationError) and f"({pika.spec.ACCESS_REFUSED})" in str(cause):
        return BridgeError(f"{label}: RabbitMQ refuses the login: check the user, the password, and who may log in from here")
    if isinstance(cause, pika.exceptions.ProbableAccessDeniedError) and f"({pika.spec.NOT_ALLOWED})" in str(cause):
        return BridgeError(f"{label}: RabbitMQ has no such virtual host, or the user may not use it")
    if isinstance(cause, ssl.SSLCertVerificationError):
        return BridgeError(f"{label}: the certificate of RabbitMQ is not valid: {cause.verify_message}")
    if isinstance(cause, pika.exceptions.ConnectionClosed | pika.exceptions.ChannelClosed):
        return ConnectionLostError(f"{label}: RabbitMQ has hung up: {cause.reply_text}")
    return ConnectionLostError(f"{label}: {cause or type(cause).__name__}")


def _cause(error: BaseException) -> BaseException:
    """The innermost error of those that pika has wrapped in one another."""
    while True:
        inner = [*getattr(error, "exceptions", ()), getattr(error, "exception", None), *error.args]
        found = next((each for each in reversed(inner) if isinstance(each, BaseException)), None)
        if found is None:
            return error
        error = found
