"""The recent past of a store, sampled in memory: how fast topics grew, and how far groups lagged."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from eventlog import Activity, EventLog

POINTS_MAX = 240
_BARS = "▁▂▃▄▅▆▇█"

Series = Sequence[float | None]
"""Values at equal intervals, the latest one last; None where nothing is known."""


class Snapshot(NamedTuple):
    """A store at one moment, and before: `topic_rates` are records a second by topic, `group_lags` records by group, and
    `group_rates` the records a second that a group acknowledged. All of them end with the values of `activity`."""

    activity: Activity
    topic_rates: Mapping[str, Series]
    group_lags: Mapping[str, Series]
    group_rates: Mapping[str, Series]


class History:
    """Takes samples of a store and remembers the last ones; what was deleted is forgotten. For one thread at a time."""

    def __init__(self, log: EventLog, points: int = POINTS_MAX) -> None:
        self._log = log
        self._points = points
        self._latest: Activity | None = None
        self._topic_rates: dict[str, deque[float | None]] = {}
        self._group_lags: dict[str, deque[float | None]] = {}
        self._group_rates: dict[str, deque[float | None]] = {}

    def sample(self) -> Snapshot:
        """Measure the store, and return it with its past. Raises what `EventLog.activity` raises."""
        self._latest = activity = self._log.activity(self._latest)
        return Snapshot(
            activity,
            self._add(self._topic_rates, ((topic.name, topic.records_per_second) for topic in activity.topics)),
            self._add(self._group_lags, ((group.name, group.lag) for group in activity.groups)),
            self._add(self._group_rates, ((group.name, group.records_per_second) for group in activity.groups)),
        )

    def _add(
        self, series: dict[str, deque[float | None]], values: Iterable[tuple[str, float | None]]
    ) -> dict[str, tuple[float | None, ...]]:
        now = dict(values)
        for name in series.keys() - now.keys():
            del series[name]
        for name, value in now.items():
            series.setdefault(name, deque(maxlen=self._points)).append(value)
        return {name: tuple(series[name]) for name in now}


def sparkline(series: Series, width: int) -> str:
    """The last `width` values as bars between 0 and the largest of them, to the right; unknown ones are blank."""
    shown = list(series[-width:]) if width > 0 else []
    largest = max((value for value in shown if value is not None), default=0)
    steps = len(_BARS) - 1
    bars = (" " if value is None else _BARS[round(steps * value / largest)] if largest > 0 else _BARS[0] for value in shown)
    return "".join(bars).rjust(width)
