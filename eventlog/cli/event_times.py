"""The time that an event itself carries, as a number or as text."""

from __future__ import annotations

import re
from decimal import Decimal

from eventlog.cli import output
from eventlog.cli.parsing import parse_time

UNITS = {"ms": Decimal(1), "s": Decimal(1000), "us": Decimal("0.001"), "ns": Decimal("0.000001")}

_EARLIEST_MS = 315_532_800_000  # 1980
_LATEST_MS = 253_402_300_799_999  # the end of the year 9999
_NUMBER = re.compile(r"-?[0-9]{1,30}(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,2})?", re.ASCII)


def event_time(text: str, unit: str, *, is_any_time: bool) -> int:
    """Milliseconds since the epoch for a number in this unit, or for a TIME of the command line.

    Raises ValueError for anything else and, unless `is_any_time`, for times that are probably in another unit."""
    if _NUMBER.fullmatch(text):
        return _checked(int(Decimal(text) * UNITS[unit]), is_any_time=is_any_time)
    milliseconds = parse_time(text)
    if milliseconds < _EARLIEST_MS and not is_any_time:
        raise ValueError(f"{text} is before 1980: --any-time takes it nevertheless")
    return milliseconds


def _checked(milliseconds: int, *, is_any_time: bool) -> int:
    """The time itself. Raises ValueError for what no record can have and, unless `is_any_time`, for a time before 1980."""
    if not 0 <= milliseconds <= _LATEST_MS:
        raise ValueError(
            f"{milliseconds} ms is {'before 1970' if milliseconds < 0 else 'after the year 9999'}: "
            "is it in another unit? --timestamp-unit names it"
        )
    if milliseconds < _EARLIEST_MS and not is_any_time:
        raise ValueError(
            f"{milliseconds} ms is {output.time_text(milliseconds)}, before 1980: if it is in seconds, use --timestamp-unit s; "
            "--any-time takes it nevertheless"
        )
    return milliseconds
