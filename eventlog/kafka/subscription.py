"""The topics that a consumer of a cluster subscribes to, of which it asks again every two seconds whether they exist."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from re import Pattern

from eventlog.errors import InvalidArgumentError, InvalidTypeError
from eventlog.kafka.cluster import Cluster
from eventlog.options import check_topic_name

_ASK_SECONDS = 2.0


class Subscription:
    """`names` are the topics that it comprises, sorted: those that were named, or that match a pattern. `counts` has the
    number of partitions of those that exist."""

    def __init__(self, cluster: Cluster, wanted: object) -> None:
        self._cluster = cluster
        self._pattern: Pattern[str] | None = None
        self.names: tuple[str, ...] = ()
        self.counts: dict[str, int] = {}
        self._asked_at: float | None = None
        if isinstance(wanted, re.Pattern):
            if not isinstance(wanted.pattern, str):
                raise InvalidTypeError("a topic pattern must be compiled from str, not from bytes")
            self._pattern = wanted
        else:
            self.names = _check_names(wanted)

    def resolve(self) -> bool:
        """Ask the cluster, if that is some time ago; True if the topics or their partitions have changed."""
        now = time.monotonic()
        if self._asked_at is not None and now - self._asked_at < _ASK_SECONDS:
            return False
        before, pattern = self.counts, self._pattern
        if pattern is not None:
            self.names = tuple(name for name in self._cluster.topics() if pattern.fullmatch(name))
        self.counts = self._cluster.partition_counts(self.names)
        self._asked_at = now
        return self.counts != before


def _check_names(wanted: object) -> tuple[str, ...]:
    names: object = [wanted] if isinstance(wanted, str) else wanted
    if not isinstance(names, Sequence | set | frozenset) or isinstance(names, str | bytes):
        raise InvalidTypeError(f"topics must be a name, a list of names or a compiled pattern, not {type(wanted).__name__}")
    if not names:
        raise InvalidArgumentError("topics is empty: name at least one")
    return tuple(sorted({check_topic_name(name) for name in names}))
