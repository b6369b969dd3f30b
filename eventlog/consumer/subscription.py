"""The topics that a consumer subscribes to: a list of names, or all that match a pattern."""

from __future__ import annotations

import re
from collections.abc import Sequence
from re import Pattern

from eventlog.errors import InvalidArgumentError, InvalidTypeError
from eventlog.log import Log
from eventlog.options import check_topic_name


class Subscription:
    """`topics` are the topics that it comprises now, sorted."""

    def __init__(self, log: Log, wanted: str | Sequence[str] | Pattern[str]) -> None:
        self._log = log
        self._names: tuple[str, ...] = ()
        self._pattern: Pattern[str] | None = None
        if isinstance(wanted, re.Pattern):
            if not isinstance(wanted.pattern, str):
                raise InvalidTypeError("a topic pattern must be compiled from str, not from bytes")
            self._pattern = wanted
        else:
            self._names = _check_names(wanted)
        self.topics: tuple[str, ...] = ()
        self.resolve()

    def resolve(self) -> bool:
        """Find the topics among those that exist; True if they have changed. A pattern has to match a whole name."""
        before = self.topics
        pattern = self._pattern
        if pattern is None:
            self.topics = self._names
        else:
            self.topics = tuple(name for name in self._log.topics() if pattern.fullmatch(name))
        return self.topics != before


    def missing(self) -> list[str]:
        """The topics that were named and do not exist yet."""
        return sorted(set(self._names).difference(self._log.topics())) if self._names else []


def similar(name: str, others: Sequence[str]) -> str:
    """A hint for somebody who may have mistyped a name, to be appended to a sentence."""
    from difflib import get_close_matches  # rarely needed

    found = get_close_matches(name, others, 1)
    return f"; there is {found[0]!r}" if found else ""


def _check_names(wanted: object) -> tuple[str, ...]:
    names = [wanted] if isinstance(wanted, str) else wanted
    if not isinstance(names, (list, tuple, set, frozenset)):
        raise InvalidTypeError(f"topics must be a name, a list of names or a compiled pattern, not {type(wanted).__name__}")
    if not names:
        raise InvalidArgumentError("topics is empty: name at least one")
    return tuple(sorted({check_topic_name(name) for name in names}))
