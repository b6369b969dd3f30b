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
# Numbers that are times of the years 2005 to 2100 in seconds. In milliseconds they are all in the first weeks of 1970.
_SECONDS_FIRST = 1_104_537_600
_SECONDS_END = 4_102_444_800
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
# The grammar is our own because that of datetime.fromisoformat differs between Python versions.
_TIME = re.compile(
    r"(?P<date>\d{4}-\d\d-\d\d)"
    r"(?:[T ](?P<minute>\d\d:\d\d)(?P<second>:\d\d)?(?:\.(?P<fraction>\d{1,6}))?(?P<zone>Z|[+-]\d\d:\d\d)?)?",
    re.ASCII,
)
_SPAN = re.compile(r"(?P<count>[0-9]{1,9}) ?(?P<unit>[a-z]+)(?: ago)?", re.ASCII)
_WALL = re.compile(r"(?:(?P<day>today|yesterday) ?)?(?P<minute>\d\d:\d\d)?(?P<second>:\d\d)?", re.ASCII)
_UNIT_MS = {
    **dict.fromkeys(("ms", "millisecond", "milliseconds"), 1),
    **dict.fromkeys(("s", "sec", "second", "seconds"), 1_000),
    **dict.fromkeys(("m", "min", "minute", "minutes"), 60_000),
    **dict.fromkeys(("h", "hour", "hours"), 3_600_000),
    **dict.fromkeys(("d", "day", "days"), 86_400_000),
    **dict.fromkeys(("w", "week", "weeks"), 604_800_000),
}
_UNIT_BYTES = {"B": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
_SIZE = re.compile(r"(?P<count>[0-9]{1,9}) ?(?P<unit>[BKMGT])(?:iB)?", re.ASCII)


def parse_time(text: str) -> int:
    """Return milliseconds since the epoch for a TIME: ISO 8601, UTC unless it names a zone (or ends in " local"); a time
    ago such as 7d, 5min or "2 hours ago"; now, today, yesterday or a time of day, by the local clock; or the milliseconds.

    Raises ValueError, with what was expected, for anything else.
    """
    if text.isascii() and text.isdecimal():
        milliseconds = _number(text)
        if milliseconds > OFFSET_MAX:
            raise ValueError(f"{text} is too large for a time in milliseconds")
        if _SECONDS_FIRST <= milliseconds < _SECONDS_END:
            raise ValueError(f"{text} seems to be a time in seconds: give milliseconds, {text}000, or a date")
        return milliseconds
    if text == "now":
        return now_ms()
    span_ms = _span_ms(text)
    if span_ms is not None:
        return max(0, now_ms() - span_ms)
    time = _on_the_wall(text) or _from_calendar(text)
    # No record is older than the epoch, so that all earlier times mean the same.
    return max(0, (time - _EPOCH) // timedelta(milliseconds=1))


def _span_ms(text: str) -> int | None:
    span = _SPAN.fullmatch(text)
    unit_ms = _UNIT_MS.get(span["unit"]) if span is not None else None
    return None if span is None or unit_ms is None else int(span["count"]) * unit_ms


def _on_the_wall(text: str) -> datetime | None:
    """A time as the local clock shows it: today, yesterday, 14:30, yesterday 14:30."""
    match = _WALL.fullmatch(text)
    if match is None or not (match["day"] or match["minute"]) or (match["second"] and not match["minute"]):
        return None
    day = datetime.fromtimestamp(now_ms() / 1000).date() - timedelta(days=match["day"] == "yesterday")
    return _at(text, f"{day}T{match['minute'] or '00:00'}{match['second'] or ''}")


def _from_calendar(text: str) -> datetime:
    calendar = text.removesuffix(" local")
    match = _TIME.fullmatch(calendar)
    if match is None or (match["fraction"] and not match["second"]) or (calendar != text and match["zone"]):
        raise ValueError(
            f"{text!r} is not a time such as 2026-11-01, 2026-11-01T10:00, 2026-11-01T10:00:30.5+01:00, "
            "'2026-11-01 10:00 local', 'yesterday 14:30', 7d or '2 hours ago'"
        )
    clock = (match["minute"] or "00:00") + (match["second"] or ":00") + "." + (match["fraction"] or "0").ljust(6, "0")
    if calendar != text:
        return _at(text, f"{match['date']}T{clock}")
    return _at(text, f"{match['date']}T{clock}" + (match["zone"] or "Z").replace("Z", "+00:00"))


def _at(text: str, iso: str) -> datetime:
    """The time that ISO 8601 writes so; it is local if no zone is named."""
    try:
        time = datetime.fromisoformat(iso)
        return time if time.tzinfo is not None else time.astimezone()
    except (ValueError, OverflowError, OSError) as error:
        raise ValueError(f"{text!r} is not a time: {error}") from None


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
        config[key] = _in_units(key, value)
    return config


def _in_units(key: str, value: str) -> str:
    """A setting's value as Kafka writes it: 7d for a setting in milliseconds, and 16MiB for one in bytes, become numbers."""
    if key.endswith(".ms"):
        span_ms = _span_ms(value)
        return value if span_ms is None else str(span_ms)
    size = _SIZE.fullmatch(value) if key.endswith(".bytes") else None
    return value if size is None else str(int(size["count"]) * _UNIT_BYTES[size["unit"]])


class Seconds(click.FloatRange):
    """A number within bounds; click lets "nan" pass as one."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = super().convert(value, param, ctx)
        if number != number:
            self.fail(f"{value!r} is not a number of seconds.", param, ctx)
        return number


interval_option = click.option(
    "--interval",
    "seconds",
    metavar="SECONDS",
    type=Seconds(min=0.1, max=3600),
    default=2.0,
    show_default=True,
    help="Time between two snapshots.",
)
