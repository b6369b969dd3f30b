"""The store that the command line names."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from eventlog import EventLog, Partition


def open_store(*, create: bool = False, fsync: str = "interval") -> EventLog:
    """Open the store of --store or EVENTLOG_STORE; it must be there already unless `create` is true."""
    directory = store_directory()
    import eventlog

    return eventlog.open(directory, create=create, fsync=fsync)


def store_directory() -> str:
    """The directory that --store or EVENTLOG_STORE names, whatever is there. Raises click.UsageError if none does."""
    directory: str | None = click.get_current_context().find_root().params["store"]
    if not directory:
        raise click.UsageError("no store given: use 'eventlog --store DIR COMMAND' or set EVENTLOG_STORE")
    return directory


def open_partitions(log: EventLog, topic: str, partition: int | None = None) -> list[Partition]:
    """The partitions of a topic in order, or only the one with this number."""
    if partition is not None:
        return [log.partition(topic, partition)]
    return [log.partition(topic, number) for number in range(log.topic(topic).partitions)]


execute_option = click.option(
    "--execute", "is_executed", is_flag=True, help="Do it; without this, it is only shown what would be done."
)
