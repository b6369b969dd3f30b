"""The log of a server whose clients are many and hostile."""

from __future__ import annotations

import logging

from eventlog.serve.flood import LINES_MAX, FloodFilter


def record(second: int, message: str = "closed") -> logging.LogRecord:
    made = logging.LogRecord("eventlog.serve", logging.WARNING, "", 0, "%s", (message,), None)
    made.created = float(second)
    return made


def test_lines_beyond_those_of_a_second_are_counted_and_left_out() -> None:
    flood = FloodFilter()
    assert [flood.filter(record(1)) for _ in range(LINES_MAX + 7)] == [True] * LINES_MAX + [False] * 7
    later = record(2, "100% closed")
    assert flood.filter(later)
    assert later.getMessage() == "100% closed (7 lines before it were left out)"
    assert flood.filter(last := record(3)) and last.getMessage() == "closed"
