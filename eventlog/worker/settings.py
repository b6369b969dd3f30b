"""The settings of a share group, by Kafka's names where Kafka has one, and their limits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from eventlog.catalog.share_groups import ShareSettings
from eventlog.errors import InvalidArgumentError, InvalidTypeError
from eventlog.storage.mapped.share_page import WINDOW_MAX, ShareLimits

_DELAY_MS_MAX = 2**31 - 1
_RESET = "share.auto.offset.reset"
_RESETS = ("earliest", "latest")

# Name: default, minimum, maximum. Kafka's defaults but for these: it has 2,000 record locks, so that a worker that hangs stops
# the others after 2,000 records, and begins with the latest record, where a queue would lose the jobs sent before its workers.
_NUMBERS = {
    "share.record.lock.duration.ms": (30_000, 1, _DELAY_MS_MAX),
    "share.delivery.count.limit": (5, 1, 254),
    "share.partition.max.record.locks": (WINDOW_MAX, 1, WINDOW_MAX),
    "share.retry.backoff.ms": (1000, 0, _DELAY_MS_MAX),
    "share.retry.backoff.max.ms": (60_000, 0, _DELAY_MS_MAX),
}


def parse_share_settings(config: Mapping[str, object] | None) -> ShareSettings | None:
    """The settings as they are stored. Raises `InvalidArgumentError`, `InvalidTypeError`."""
    if config is None:
        return None
    if not isinstance(config, Mapping):
        raise InvalidTypeError(f"config must be a mapping of setting to value, not {type(config).__name__}")
    return {name: _parse(name, value) for name, value in config.items()}


def _parse(name: str, value: object) -> int | str:
    if name == _RESET:
        if value not in _RESETS:
            raise InvalidArgumentError(f"{name} is {value!r}, but must be one of {', '.join(_RESETS)}")
        return str(value)
    if name not in _NUMBERS:
        known = ", ".join(sorted([*_NUMBERS, _RESET]))
        raise InvalidArgumentError(f"unknown setting of a share group {name!r}; the settings are {known}")
    _, minimum, maximum = _NUMBERS[name]
    if not isinstance(value, int) or isinstance(value, bool) or not minimum <= value <= maximum:
        raise InvalidArgumentError(f"{name} is {value!r}, but must be a whole number from {minimum} to {maximum}")
    return value


class ShareConfig(NamedTuple):
    """All settings of a share group; what was not given has its default."""

    limits: ShareLimits
    offset_reset: str
    backoff_ms: int
    backoff_ms_max: int

    @classmethod
    def of(cls, given: ShareSettings) -> ShareConfig:
        """The settings of a group that was given these."""

        def number(name: str) -> int:
            return int(given.get(name, _NUMBERS[name][0]))

        limits = ShareLimits(
            number("share.record.lock.duration.ms"),
            number("share.partition.max.record.locks"),
            number("share.delivery.count.limit"),
        )
        backoff_ms, backoff_ms_max = number("share.retry.backoff.ms"), number("share.retry.backoff.max.ms")
        return cls(limits, str(given.get(_RESET, "earliest")), backoff_ms, backoff_ms_max)

    def backoff(self, delivery_count: int) -> int:
        """How long a record waits for its next delivery after so many without success, in milliseconds: each time twice as
        long as before, up to the maximum."""
        return min(self.backoff_ms_max, self.backoff_ms << min(delivery_count - 1, 32))
