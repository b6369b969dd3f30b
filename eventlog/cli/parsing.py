"""The words of the command line that need parsing: TIME, seconds, where to start reading, and topic settings."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import click

from eventlog.clock import now_ms

if TYPE_CHECKING:
    from eventlog import Partition

OFFSET_MAX = 2**63 - 1
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
# The grammar is our own because that of datetime.fromisoformat differs between Python versions.
_TIME = re.compile(
    r"(?P<date>\d{4}-\d\d-\d\d)"
    r"(?:[T ](?P<minute>\d\d:\d\d)(?P<second>:\d\d)?(?:\.(?P<fraction>\d{1,6}))?(?P<zone>Z|[+-]\d\d:\d\d)?)?",
    re.ASCII,
)


_AGO = re.compile(r"(?P<count>[0-9]{1,9}) (?P<unit>second|minute|hour|day|week)s? ago", re.ASCII)
_UNIT_MS = {"second": 1_000, "minute": 60_000, "hour": 3_600_000, "day": 86_400_000, "week": 604_800_000}


def parse_time(text: str) -> int:
    """Return milliseconds since the epoch for a TIME: ISO 8601, UTC unless it names a zone, "2 hours ago",
    or the milliseconds.

    Raises ValueError, with what was expected, for anything else.
    """
    if text.isascii() and text.isdecimal():
        milliseconds = _number(text)
        if milliseconds > OFFSET_MAX:
            raise ValueError(f"{text} is too large for a time in milliseconds")
        return milliseconds
    ago = _AGO.fullmatch(text)
    if ago is not None:
        return max(0, now_ms() - int(ago["count"]) * _UNIT_MS[ago["unit"]])
    match = _TIME.fullmatch(text)
    if match is None or (match["fraction"] and not match["second"]):
        raise ValueError(
            f"{text!r} is not a time such as 2026-11-01, 2026-11-01T10:00, 2026-11-01T10:00:30.5+01:00 or '2 hours ago'"
        )
    clock = (match["minute"] or "00:00") + (match["second"] or ":00") + "." + (match["fraction"] or "0").ljust(6, "0")
    zone = (match["zone"] or "Z").replace("Z", "+00:00")
    try:
        time = datetime.fromisoformat(f"{match['date']}T{clock}{zone}")
    except ValueError as error:
        raise ValueError(f"{text!r} is not a time: {error}") from None
    # No record is older than the epoch, so that all earlier times mean the same.
    return max(0, (time - _EPOCH) // timedelta(milliseconds=1))


def _number(digits: str) -> int:
    """The number that these digits are, or one as much too large, without the work that very many of them would make."""
    return int(digits.lstrip("0")[:20] or "0")


class Start(NamedTuple):
    """Where reading starts: `number` is the offset, or the time in milliseconds since the epoch."""

    kind: Literal["earliest", "latest", "offset", "time"]
    number: int = 0

    def resolve(self, partition: Partition) -> int:
        """The offset this means in one partition; the end offset if no record is as late as the time."""
        if self.kind == "earliest":
            return partition.start_offset
        if self.kind == "latest":
            return partition.end_offset
        if self.kind == "offset":
            return self.number
        found = partition.offset_for_time(self.number)
        return partition.end_offset if found is None else found


def time_type(text: str) -> int:
    """The type of an option that takes a TIME. Raises click.BadParameter."""
    try:
        return parse_time(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def start_type(text: str) -> Start:
    """The type of an option that takes earliest, latest, OFFSET or TIME. Raises click.BadParameter.

    A bare number is an offset.
    """
    if text == "earliest":
        return Start("earliest")
    if text == "latest":
        return Start("latest")
    return _offset_or_time(text, "expected earliest, latest, an offset or a time")


def stop_type(text: str) -> Start:
    """The type of an option that takes an OFFSET or a TIME where reading stops. Raises click.BadParameter."""
    return _offset_or_time(text, "expected an offset or a time")


def _offset_or_time(text: str, expected: str) -> Start:
    if text.isascii() and text.isdecimal():
        offset = _number(text)
        if offset > OFFSET_MAX:
            raise click.BadParameter(f"{text} is too large for an offset")
        return Start("offset", offset)
    try:
        return Start("time", parse_time(text))
    except ValueError as error:
        raise click.BadParameter(f"{expected}; {error}") from None


def parse_settings(settings: Iterable[str]) -> dict[str, str]:
    """Topic settings from KEY=VALUE words, values as text. Raises click.BadParameter."""
    config: dict[str, str] = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not key or not equals:
            raise click.BadParameter(f"{setting!r} is not KEY=VALUE", param_hint="'--config'")
        if key in config:
            raise click.BadParameter(f"{key!r} is given twice", param_hint="'--config'")
        config[key] = value
    return config


class Seconds(click.FloatRange):
    """A number within bounds; click lets "nan" pass as one."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = super().convert(value, param, ctx)
        if number != number:
            self.fail(f"{value!r} is not a number of seconds.", param, ctx)
        return number
