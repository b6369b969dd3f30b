"""The URL of a cluster: its brokers, and settings of librdkafka as query parameters.

`kafka://user:password@first:9092,second:9092?security.protocol=SASL_SSL&ssl.ca.location=/etc/ca.pem`. A password may also stand
in the environment, as EVENTLOG_KAFKA_PASSWORD. Settings: https://github.com/confluentinc/librdkafka/blob/master/CONFIGURATION.md
"""

from __future__ import annotations

import os
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

from eventlog.errors import InvalidArgumentError

SCHEME = "kafka"
PASSWORD_VARIABLE = "EVENTLOG_KAFKA_PASSWORD"

_PORT = 9092
_REQUEST_MS, _DELIVERY_MS = 10_000, 30_000
_TIMES = {"socket.timeout.ms": _REQUEST_MS, "message.timeout.ms": _DELIVERY_MS}
_ALIASES = {"delivery.timeout.ms": "message.timeout.ms", "metadata.broker.list": "bootstrap.servers"}
# What the contract's options say, or what its promises rest on.
_OWN = {
    "acks", "auto.offset.reset", "batch.num.messages", "batch.size", "bootstrap.servers", "enable.auto.commit",
    "enable.auto.offset.store", "enable.idempotence", "enable.partition.eof", "group.id", "group.instance.id",
    "isolation.level", "linger.ms", "message.max.bytes", "partition.assignment.strategy", "queue.buffering.max.ms",
    "request.required.acks", "transactional.id",
}  # fmt: skip


class Address(NamedTuple):
    """Where a cluster is. `name` is the URL without user, password and settings, for messages; `settings` are librdkafka's.

    The time limits are seconds: for the answer to a request, and for the delivery of a record."""

    name: str
    settings: dict[str, str]
    request_seconds: float
    delivery_seconds: float

    def __repr__(self) -> str:
        return self.name


def parse_address(url: str) -> Address:
    """Read a `kafka://` URL. Raises `InvalidArgumentError`, which does not show what could be secret."""
    split = urlsplit(url)
    user, _, hosts = split.netloc.rpartition("@")
    brokers = ",".join(map(_broker, hosts.split(",")))
    name = f"{SCHEME}://{brokers}"
    if split.path not in ("", "/") or split.fragment:
        raise InvalidArgumentError(f"{name} has a path or a fragment behind its brokers; a cluster has none")
    settings = _settings(name, split.query)
    if user:
        settings["sasl.username"], _, password = (unquote(each) for each in user.partition(":"))
        settings.update({"sasl.password": password} if password else {})
    if PASSWORD_VARIABLE in os.environ:
        settings.setdefault("sasl.password", os.environ[PASSWORD_VARIABLE])
    request_ms, delivery_ms = (_milliseconds(name, settings, each) for each in _TIMES)
    return Address(name, {**settings, "bootstrap.servers": brokers}, request_ms / 1000, delivery_ms / 1000)


def _broker(text: str) -> str:
    host, separator, port = text.rpartition(":")
    if not separator or text.endswith("]"):  # no port: of an address of IPv6, the colons stand in brackets
        host, port = text, str(_PORT)
    if not host or not port.isdecimal() or not 0 < int(port) < 2**16:
        raise InvalidArgumentError("the brokers of a kafka:// URL must be HOST or HOST:PORT, separated by commas")
    return f"{host}:{port}"


def _settings(name: str, query: str) -> dict[str, str]:
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query))
    except ValueError:
        raise InvalidArgumentError(f"the settings of {name} must be SETTING=VALUE, separated by &") from None
    settings = {_ALIASES.get(key, key): value for key, value in pairs}
    for key in settings:
        if key in _OWN:
            raise InvalidArgumentError(f"{name} sets {key}, which eventlog decides: leave it out of the URL")
    return settings


def _milliseconds(name: str, settings: dict[str, str], setting: str) -> int:
    text = settings.setdefault(setting, str(_TIMES[setting]))
    if not text.isdecimal() or not 10 <= int(text) < 2**31:
        raise InvalidArgumentError(f"{setting} of {name} must be milliseconds, from 10 on")
    return int(text)
