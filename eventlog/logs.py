"""The loggers of the library: all are below "eventlog", and quiet unless the program configures `logging`.

docs/logging.md lists what they tell. Nothing is logged for each record, and nothing while the catalog is being changed.
"""

from __future__ import annotations

import logging

from eventlog.counters import count

WARNINGS = "warnings"
"""What counts warnings and errors, by their logger."""


class _Silent(logging.NullHandler):
    """Prints nothing; counts warnings and errors for `EventLog.metrics`."""

    def handle(self, record: logging.LogRecord) -> bool:
        if record.levelno >= logging.WARNING:
            count(WARNINGS, record.name)
        return True


logging.getLogger("eventlog").addHandler(_Silent())


def logger(name: str) -> logging.Logger:
    """The logger for one subject, such as "recovery"."""
    return logging.getLogger(f"eventlog.{name}")
