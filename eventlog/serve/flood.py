"""Keeps clients from flooding the log: each connection that is closed for a reason is a line."""

from __future__ import annotations

import logging

LINES_MAX = 50  # a second


class FloodFilter(logging.Filter):
    """Lets through so many lines of a second, and says in the first one of a later second how many it has left out."""

    def __init__(self) -> None:
        super().__init__()
        self._second = 0
        self._lines = 0
        self._left_out = 0

    def filter(self, record: logging.LogRecord) -> bool:
        """Is the line to be written?"""
        second = int(record.created)
        if second != self._second:
            self._second, self._lines = second, 0
            if self._left_out:
                record.msg, record.args = f"{record.getMessage()} ({self._left_out} lines before it were left out)", None
                self._left_out = 0
        self._lines += 1
        if self._lines <= LINES_MAX:
            return True
        self._left_out += 1
        return False
