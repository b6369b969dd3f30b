"""What a mirror's target lacks, or lacked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import NamedTuple

from eventlog.errors import EventLogError
from eventlog.options import TopicConfig, parse_settings

_NOT_KAFKAS = frozenset(("retention.acked",))
_OWN_GROUPS = "eventlog-"  # those in which sinks keep their positions


class Difference(NamedTuple):
    """Something in which the target differs from the source: `before` is what it has, `after` what it should have.

    `kind` is "topic" (it is missing), "partitions", "setting" (`name`), "records" (how many were copied, or are missing at
    most), "group" (the committed offset of group `name`), or "left out": `after` says why."""

    kind: str
    topic: str
    partition: int | None = None
    name: str | None = None
    before: str | float | None = None
    after: str | float | None = None


class Selection(NamedTuple):
    """What is mirrored: patterns as in a shell, for names of topics and of groups."""

    topics: Sequence[str]
    groups: Sequence[str] = ("*",)

    def of_topics(self, names: Iterable[str]) -> list[str]:
        """The topics among these."""
        return sorted(name for name in names if _matches(name, self.topics))

    def of_groups(self, names: Iterable[str]) -> list[str]:
        """The groups among these."""
        return sorted(name for name in names if _matches(name, self.groups) and not name.startswith(_OWN_GROUPS))


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def settings_for_kafka(settings: TopicConfig) -> dict[str, str]:
    """A topic's settings for Kafka: those that were given, and how long records stay, of which the defaults differ."""
    given = {name: str(value) for name, value in settings.given.items() if name not in _NOT_KAFKAS}
    return {"retention.ms": str(settings.number("retention.ms")), **given}


def settings_for_store(given: Mapping[str, str | None]) -> tuple[dict[str, str], list[Difference]]:
    """Those of these settings of a topic of Kafka's that a store has, and the others."""
    accepted, left_out = {}, []
    for name, value in sorted(given.items()):
        try:
            parse_settings({name: value})
            accepted[name] = str(value)
        except EventLogError as error:
            left_out.append(Difference("left out", "", name=name, before=value, after=str(error)))
    return accepted, left_out


def first_at_least(low: int, high: int, is_before: Callable[[int], bool]) -> int:
    """The first number from `low` up to `high` that is not before, if all that are before come first."""
    while low < high:
        middle = (low + high) // 2
        if is_before(middle):
            low = middle + 1
        else:
            high = middle
    return low
