"""Making a bridge from a URL and options: everything is checked before anything begins."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from eventlog.bridges.appending import TopicAppender
from eventlog.bridges.collect import Collect
from eventlog.bridges.endpoints import OpenLog, SinkContext, SourceContext
from eventlog.bridges.message import Origin
from eventlog.bridges.refused import Refused
from eventlog.bridges.ship import Ship, ShipOptions
from eventlog.bridges.systems import default_windows, make_copier, make_sink, make_source
from eventlog.bridges.topics import topic_id
from eventlog.bridges.url import Url
from eventlog.errors import InvalidArgumentError, InvalidTypeError
from eventlog.log import Log
from eventlog.options import TopicConfig, check_group_name, check_number

if TYPE_CHECKING:
    from eventlog import contract
    from eventlog.bridges.kafka.mirror.differences import Difference
    from eventlog.bridges.kafka.mirror.mirror import Mirror
    from eventlog.consumer.consumer import Consumer
    from eventlog.consumer.rebalance import RebalanceListener
    from eventlog.groups.registry import Groups

    MakeConsumer = Callable[[str, str, RebalanceListener], Consumer]

_WINDOW_MAX = 1_000_000
_NAME_CHARACTERS, _DIGEST_CHARACTERS = 100, 6
_TARGET_OPTIONS = ("queue", "exchange", "routing-key", "routing_key", "destination", "topic")
_KEYS = re.compile(r"routing-key|message-id|correlation-id|header:.+")
_IDENTITIES = re.compile(r"message-id|content|none|header:.+")


def make_ship(
    log: Log,
    topic: str,
    url: str,
    *,
    make_consumer: MakeConsumer,
    open_log: OpenLog,
    group: str | None,
    window: int | None,
    window_bytes: int,
    refused: str,
    password: str | None,
    create: str | None,
    give_up_after: float | None,
) -> Ship:
    """As `EventLog.ship`; `make_consumer` makes one of a topic in a group, with a listener."""
    target = Url(url, password)
    window = _checked_window(window, default_windows(target).ship)
    check_number("window_bytes", window_bytes, 1, 2**40)
    name = check_group_name(group) if group is not None else default_group(target)
    policy = Refused(_contract(log), refused)
    origin = Origin(topic_id(log.topic(topic)), topic, name)
    sink = make_sink(target, SinkContext(origin, window, window_bytes, _checked_create(create), open_log))
    options = ShipOptions(name, window, window_bytes, give_up_after, origin.id)
    return Ship(log, topic, sink, lambda listener: make_consumer(topic, name, listener), policy, options)


def make_collect(
    log: Log,
    topic: str,
    url: str,
    *,
    open_log: OpenLog,
    key: str | None,
    identity: str | None,
    window: int | None,
    refused: str,
    password: str | None,
    create: str | None,
    give_up_after: float | None,
) -> Collect:
    """As `EventLog.collect`."""
    origin = Url(url, password)
    window = _checked_window(window, default_windows(origin).collect)
    _check_form("key", key, _KEYS, "routing-key, message-id, correlation-id or header:NAME")
    _check_form("identity", identity, _IDENTITIES, "message-id, content, header:NAME or none")
    policy = Refused(_contract(log), refused, may_be_left_there=True)
    record_bytes_max = int(TopicConfig.parse(log.topic(topic).config).effective()["max.message.bytes"])
    appender = TopicAppender(_contract(log), topic)
    context = SourceContext(
        topic, appender.position, key, identity, _checked_create(create), window, record_bytes_max, open_log
    )
    return Collect(log, appender, make_source(origin, context), policy, window, give_up_after)


def make_mirror(
    log: Log,
    groups: Groups,
    topics: str | Sequence[str],
    url: str | None,
    *,
    to: str | None,
    make_consumer: Callable[[], contract.Consumer],
    open_log: OpenLog,
    of_groups: str | Sequence[str],
    every: float,
    password: str | None,
    give_up_after: float | None,
    on_difference: Callable[[Difference], object] | None,
) -> Mirror:
    """As `EventLog.mirror`; `make_consumer` makes one that is in no group."""
    from eventlog.bridges.kafka.mirror.context import MirrorContext
    from eventlog.bridges.kafka.mirror.differences import Selection
    from eventlog.bridges.kafka.mirror.mirror import Mirror

    if (url is None) == (to is None):
        raise InvalidArgumentError("name one cluster: the URL to copy from, or with `to` the one to copy to")
    cluster = Url(url or to or "", password)
    if cluster.path.strip("/"):
        raise InvalidArgumentError(f"{cluster} names a topic: name topics by their patterns instead")
    selection = Selection(_patterns("topics", topics), _patterns("groups", of_groups))
    if on_difference is not None and not callable(on_difference):
        raise InvalidTypeError(f"on_difference must be a function, not {type(on_difference).__name__}")
    context = MirrorContext(log, groups, make_consumer, selection, open_log)
    copier = make_copier(cluster, context, is_outbound=to is not None)
    return Mirror(log, copier, selection.topics, every=every, give_up_after=give_up_after, on_difference=on_difference)


def _patterns(name: str, patterns: object) -> list[str]:
    found = [patterns] if isinstance(patterns, str) else patterns
    if not isinstance(found, list | tuple) or not all(isinstance(each, str) for each in found):
        raise InvalidTypeError(f"{name} must be a pattern such as 'orders.*', or a list of them")
    if not found:
        raise InvalidArgumentError(f"{name} must have a pattern, such as '*'")
    return list(found)


def default_group(url: Url) -> str:
    """The group of a ship that is given none: named after where it ships to, whoever it logs in as."""
    targets = [url.options[name] for name in _TARGET_OPTIONS if name in url.options]
    hosts = [host if port is None else f"{host}-{port}" for host, port in url.hosts]
    words = [url.scheme, *hosts, url.path, *targets, url.fragment]
    name = re.sub(r"[^a-zA-Z0-9._]+", "-", "-".join(word for word in words if word)).strip("-")
    digest = hashlib.sha256("\0".join(words).encode()).hexdigest()[:_DIGEST_CHARACTERS]  # other targets may have that name
    return f"to-{name[:_NAME_CHARACTERS]}-{digest}"


def _checked_window(window: int | None, default: int) -> int:
    return default if window is None else check_number("window", window, 1, _WINDOW_MAX)


def _check_form(name: str, value: object, form: re.Pattern[str], choices: str) -> None:
    if value is not None and (not isinstance(value, str) or not form.fullmatch(value)):
        raise InvalidArgumentError(f"{name} is {value!r}, but must be {choices}")


def _checked_create(create: object) -> str | None:
    if create is not None and not isinstance(create, str):
        raise InvalidTypeError(f"create must be a str or None, not {type(create).__name__}")
    return create


def _contract(log: Log) -> contract.Log:
    return log  # type: ignore[return-value]  # an EventLog, which is a Log with clients
