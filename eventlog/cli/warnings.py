"""What the library warns of, on standard error while a command runs."""

from __future__ import annotations

import logging

import click

from eventlog.cli import output

_OWN_REPORT = "eventlog.maintenance"  # `maintain` prints it


class _OnStandardError(logging.Handler):
    """Errors are left to the command: whatever it cannot do is an error of its own."""

    def filter(self, record: logging.LogRecord) -> bool:
        return record.levelno < logging.ERROR and record.name != _OWN_REPORT

    def emit(self, record: logging.LogRecord) -> None:
        click.echo(f"eventlog: {record.levelname.lower()}: {output.printable(record.getMessage())}", err=True)


def show_warnings() -> None:
    """Print warnings of the library in one line each, unless the command has set up `logging` itself."""
    root = logging.getLogger()
    if not root.handlers:
        root.addHandler(_OnStandardError(logging.WARNING))
