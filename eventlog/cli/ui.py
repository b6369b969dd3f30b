"""`eventlog ui`: a program to look around in a store."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING

import click

from eventlog.cli import output
from eventlog.cli.parsing import interval_option
from eventlog.cli.store import mode, open_store, store_directory

if TYPE_CHECKING:
    from eventlog import EventLog


@click.command()
@interval_option
def ui(seconds: float) -> None:
    """Look around in a store: topics, records, groups and their lag.

    Enter opens what is under the cursor, escape goes back, / searches, ? explains all keys. The store is read only; r
    resets a group, after it has shown what would change. Needs the extra ui.

    \b
    Example:
      eventlog ui
    """
    if not (output.is_terminal() and os.isatty(0)):
        raise click.UsageError("ui needs a terminal; 'eventlog top --once' prints a snapshot")
    try:
        from eventlog.cli.tui.app import StoreApp
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != "textual":
            raise
        raise click.ClickException("ui needs textual, which is not installed: pip install 'eventlog-store[ui]'") from None
    store = store_directory()
    with open_store(read_only=True) as log:
        program = StoreApp(log, store, seconds, partial(_open_to_write, store) if mode() == "rw" else None)
        status = program.run()
    if status or program.return_code:
        raise click.exceptions.Exit(status or program.return_code or 0)


def _open_to_write(store: str) -> EventLog:
    import eventlog

    return eventlog.open(store, create=False)
