"""How people spell topics, partitions and commands: `orders/1`, and suggestions for names that are not there."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches
from typing import TYPE_CHECKING, NamedTuple

import click

from eventlog.errors import GroupNotFoundError
from eventlog.options import check_topic_name

if TYPE_CHECKING:
    from eventlog import EventLog
    from eventlog.errors import EventLogError

_NUMBERS = re.compile(r"[0-9]{1,9}(,[0-9]{1,9})*", re.ASCII)
_DIRECTORY = re.compile(r"(.+)-([0-9]{1,9})", re.ASCII)


class Named(NamedTuple):
    """What a word on the command line names: a topic, or some of its partitions."""

    topic: str
    partitions: tuple[int, ...]


def parse_named(text: str) -> Named:
    """What TOPIC, TOPIC/N or TOPIC/N,N names; Kafka's own spelling TOPIC:N,N means the same. Raises click.UsageError."""
    topic, separator, numbers = _split(text)
    if not separator:
        return Named(text, ())
    if not topic or not _NUMBERS.fullmatch(numbers):
        raise click.UsageError(f"{text!r} is not TOPIC or TOPIC/PARTITION, such as orders, orders/0 or orders/0,1")
    return Named(topic, tuple(dict.fromkeys(map(int, numbers.split(",")))))


def _split(text: str) -> tuple[str, str, str]:
    """No name of a topic holds a slash or a colon."""
    parts = text.partition("/")
    return parts if parts[1] else text.partition(":")


def parse_one(text: str) -> tuple[str, int]:
    """The one partition that TOPIC/N names. Raises click.UsageError, `InvalidArgumentError`."""
    topic, partitions = parse_named(text)
    if len(partitions) != 1:
        check_topic_name(topic)
        raise click.UsageError(f"{text!r} is not TOPIC/PARTITION, one partition, such as {topic}/0")
    return topic, partitions[0]


def narrow(text: str, partitions: tuple[int, ...]) -> Named:
    """What a topic argument and --partition name together. Raises click.UsageError if both name partitions."""
    named = parse_named(text)
    if named.partitions and partitions:
        raise click.UsageError(f"{text!r} already names a partition: it cannot be combined with --partition")
    return Named(named.topic, named.partitions or partitions)


def closest(name: str, names: Iterable[str]) -> str | None:
    """The one of these names that somebody who typed `name` most likely meant, or None."""
    found = get_close_matches(name.lower(), {each.lower(): each for each in names}, n=1, cutoff=0.7)
    return next((each for each in names if each.lower() == found[0]), None) if found else None


def meant_instead(log: EventLog, error: EventLogError, typed: Iterable[str]) -> str | None:
    """What the user meant whose command raised this error about a name, if one of the words typed is nearly the name of a
    topic or group, or is the name of a partition's directory."""
    is_group = isinstance(error, GroupNotFoundError)
    names = log.groups() if is_group else log.topics()
    for word in typed:
        topic, separator, numbers = _split(word)
        if topic in names:
            continue
        directory = _DIRECTORY.fullmatch(word)
        if directory is not None and directory[1] in names and not is_group:
            return f"{directory[1]}/{directory[2]}"
        found = closest(topic, names)
        if found is not None:
            return f"{found}{separator}{numbers}"
    return None
