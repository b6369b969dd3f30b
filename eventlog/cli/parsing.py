"""The words of the command line that need parsing: TIME, where to start reading, and topic settings."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Literal, NamedTuple

import click

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


def parse_time(text: str) -> int:
    """Return milliseconds since the epoch for a TIME: ISO 8601, UTC unless it names a zone, or the
    milliseconds.

    Raises ValueError, with what was expected, for anything else.
    """
    if text.isascii() and text.isdecimal():
        milliseconds = int(text[:20])
        if milliseconds > OFFSET_MAX:
            raise ValueError(f"{text} is too large for a time in milliseconds")
        return milliseconds
    match = _TIME.fullmatch(text)
    if match is None or (match["fraction"] and not match["second"]):
        raise ValueError(
            f"{text!r} is not a time such as 2026-11-01, 2026-11-01T10:00 or 2026-11-01T10:00:30.5+01:00"
        )
    clock = (
        (match["minute"] or "00:00")
        + (match["second"] or ":00")
        + "."
        + (match["fraction"] or "0").ljust(6, "0")
    )
    zone = (match["zone"] or "Z").replace("Z", "+00:00")
    try:
        time = datetime.fromisoformat(f"{match['date']}T{clock}{zone}")
    except ValueError as error:
        raise ValueError(f"{text!r} is not a time: {error}") from None
    return (time - _EPOCH) // timedelta(milliseconds=1)


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


class TimeType(click.ParamType):
    """TIME."""

    name = "TIME"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        try:
            return parse_time(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class StartType(click.ParamType):
    """earliest, latest, OFFSET or TIME; a bare number is an offset."""

    name = "earliest|latest|OFFSET|TIME"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Start:
        if isinstance(value, Start):
            return value
        text = str(value)
        if text == "earliest":
            return Start("earliest")
        if text == "latest":
            return Start("latest")
        if text.isascii() and text.isdecimal():
            offset = int(text[:20])
            if offset > OFFSET_MAX:
                self.fail(f"{text} is too large for an offset", param, ctx)
            return Start("offset", offset)
        try:
            return Start("time", parse_time(text))
        except ValueError as error:
            self.fail(f"expected earliest, latest, an offset or a time; {error}", param, ctx)


def parse_settings(settings: Iterable[str]) -> dict[str, int | str]:
    """Topic settings from KEY=VALUE words; whole numbers become int. Raises click.BadParameter."""
    config: dict[str, int | str] = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not key or not equals:
            raise click.BadParameter(f"{setting!r} is not KEY=VALUE", param_hint="'--config'")
        if key in config:
            raise click.BadParameter(f"{key!r} is given twice", param_hint="'--config'")
        # The length keeps int() from refusing, or spending long on, thousands of digits.
        is_number = re.fullmatch(r"-?[0-9]{1,30}", value) is not None
        config[key] = int(value) if is_number else value
    return config
