"""A queue or topic of a STOMP server, as a URL names it, with the options for the connection."""

from __future__ import annotations

import random
import ssl
from typing import NamedTuple

from eventlog.bridges.stomp.connection import HEART_BEAT_SECONDS, Address, Connection
from eventlog.bridges.url import Url
from eventlog.errors import BridgeError, ConnectionLostError, InvalidArgumentError

_PORTS = {"stomp": 61613, "stomps": 61612}
_KINDS = ("/queue/", "/topic/")
_OPTIONS = {"cafile", "certfile", "keyfile", "heartbeat"}
_HEART_BEAT_SECONDS_MAX = 86_400


class Destination(NamedTuple):
    """A queue or topic of this `name` at any one of these addresses."""

    addresses: tuple[Address, ...]
    name: str
    is_queue: bool

    @property
    def path(self) -> str:
        """The name as Classic has it."""
        return f"/{'queue' if self.is_queue else 'topic'}/{self.name}"

    def headers(self, connection: Connection, kind_header: str) -> list[tuple[str, str]]:
        """The headers that name the destination. Artemis is always told its kind, in the header of this name: its default is
        a topic, and what is sent to a topic without subscribers is gone."""
        if not connection.is_artemis:
            return [("destination", self.path)]
        return [("destination", self.name), (kind_header, "ANYCAST" if self.is_queue else "MULTICAST")]

    def connect(self) -> Connection:
        """A connection to one of the addresses, in random order. Raises the error of the last one."""
        *others, last = random.sample(self.addresses, len(self.addresses))
        for address in others:
            try:
                return Connection(address)
            except (ConnectionLostError, BridgeError):
                continue
        return Connection(last)


def destination_of(url: Url, *, create: str | None, options: set[str], client_id: str | None = None) -> Destination:
    """The destination of a URL that may have these `options` besides those for a connection.

    Raises `InvalidArgumentError`."""
    url.check_options(_OPTIONS | options)
    if create:
        raise InvalidArgumentError(f"a STOMP server creates queues the way it is configured: {create!r} cannot be chosen here")
    kind = next((kind for kind in _KINDS if url.path.startswith(kind) and len(url.path) > len(kind)), None)
    if kind is None or not url.hosts:
        raise InvalidArgumentError(f"{url} must be like {url.scheme}://HOST:PORT/queue/NAME or {url.scheme}://HOST:PORT/topic/NAME")
    tls = _tls(url) if url.scheme == "stomps" else None
    heart_beat_seconds = _heart_beat_seconds(url)
    addresses = tuple(
        Address(host, port or _PORTS[url.scheme], url.user, url.password, tls, client_id, heart_beat_seconds)
        for host, port in url.hosts
    )
    return Destination(addresses, url.path.removeprefix(kind), kind == "/queue/")


def is_yes(url: Url, option: str) -> bool:
    """Is an option `yes`, and not `no`, its default? Raises `InvalidArgumentError`."""
    value = url.options.get(option, "no")
    if value not in ("yes", "no"):
        raise InvalidArgumentError(f"{option} of {url} must be yes or no")
    return value == "yes"


def _heart_beat_seconds(url: Url) -> float:
    text = url.options.get("heartbeat", str(HEART_BEAT_SECONDS))
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1
    if not 0 <= seconds <= _HEART_BEAT_SECONDS_MAX:
        raise InvalidArgumentError(f"heartbeat of {url} must be seconds, from 0 (none) to {_HEART_BEAT_SECONDS_MAX}")
    return seconds


def _tls(url: Url) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=url.options.get("cafile"))
        if "certfile" in url.options:
            context.load_cert_chain(url.options["certfile"], url.options.get("keyfile"))
    except (OSError, ssl.SSLError) as error:
        raise InvalidArgumentError(f"a certificate or key of {url} cannot be read: {error}") from error
    return context
