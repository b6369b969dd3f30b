"""Which package speaks to which system, by the scheme of a URL; its client is imported only when it is asked for."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from eventlog.bridges.endpoints import Sink, SinkContext, Source, SourceContext
from eventlog.bridges.url import Url
from eventlog.errors import BridgeError, InvalidArgumentError

if TYPE_CHECKING:
    from eventlog.bridges.kafka.mirror.context import MirrorContext
    from eventlog.bridges.kafka.mirror.mirror import Copier


class Windows(NamedTuple):
    """How many records a bridge has under way at most, unless it is told."""

    ship: int = 2000
    collect: int = 1000


class _System(NamedTuple):
    package: str
    client: str = ""  # the module that has to be installed
    extra: str = ""  # the extra of this package that installs it
    windows: Windows = Windows()


_RABBITMQ = Windows(collect=2000)
_SYSTEMS = {
    "amqp": _System("amqp", "pika", "rabbitmq", _RABBITMQ),
    "amqps": _System("amqp", "pika", "rabbitmq", _RABBITMQ),
    "stomp": _System("stomp"),
    "stomps": _System("stomp"),
    # Half a window is a transaction, and one takes milliseconds, whatever is in it.
    "kafka": _System("kafka", "confluent_kafka", "kafka", Windows(20_000, 5000)),
    "eventlog": _System("store"),
}


def make_sink(url: Url, context: SinkContext) -> Sink:
    """The sink of a URL, not yet open. Raises `InvalidArgumentError`, and `BridgeError` if its client is not installed."""
    return cast(Sink, _module(url, "sink").make_sink(url, context))


def make_source(url: Url, context: SourceContext) -> Source:
    """The source of a URL, not yet open. Raises `InvalidArgumentError`, and `BridgeError` if its client is not installed."""
    return cast(Source, _module(url, "source").make_source(url, context))


def make_copier(url: Url, context: MirrorContext, *, is_outbound: bool) -> Copier:
    """What mirrors a cluster, or to one. Raises `InvalidArgumentError`, and `BridgeError` if its client is not installed."""
    if url.scheme != "kafka":
        raise InvalidArgumentError(f"a mirror needs a URL like kafka://localhost:9092, not {url}")
    module = _module(url, "mirror.outbound" if is_outbound else "mirror.inbound")
    return cast("Copier", module.make_copier(url, context))


def default_windows(url: Url) -> Windows:
    """How much is under way at a time, unless it is told."""
    return _SYSTEMS[url.scheme].windows if url.scheme in _SYSTEMS else Windows()


def _module(url: Url, end: str) -> Any:
    system = _SYSTEMS.get(url.scheme)
    if system is None:
        raise InvalidArgumentError(f"no bridge leads to {url.scheme or 'a URL without a scheme'!r}: there are {_schemes()}")
    try:
        if system.client:
            importlib.import_module(system.client)
        return importlib.import_module(f"eventlog.bridges.{system.package}.{end}")
    except ModuleNotFoundError as error:
        if not system.client or error.name is None or error.name.startswith("eventlog"):
            raise
        raise BridgeError(
            f"URLs of {url.scheme}: need the module {error.name!r}: pip install 'eventlog-store[{system.extra}]'"
        ) from error


def _schemes() -> str:
    return ", ".join(f"{scheme}:" for scheme in _SYSTEMS)
