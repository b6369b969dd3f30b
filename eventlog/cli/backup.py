"""`eventlog backup`: copy a store while others use it."""

from __future__ import annotations

import os

import click

from eventlog.cli import output
from eventlog.cli.store import open_store


def counted(number: int, noun: str) -> str:
    """A number of things in words: "1 record", "2 records"."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


@click.command()
@click.argument("destination", metavar="DEST")
@click.option("--copy", is_flag=True, help="Copy everything, so that the backup shares no files with the store.")
@output.json_option
def backup(destination: str, copy: bool, as_json: bool) -> None:
    """Take a backup of the store while others use it.

    DEST is a new or empty directory. Sealed segments become hard links to the store's files where the file system
    supports them, which takes no space; the rest is copied. The catalog with groups and offsets is included.

    \b
    Example:
      eventlog backup /backups/monday
      eventlog verify --backup /backups/monday
    """
    with open_store() as log:
        report = log.backup(destination, link=not copy)
    if as_json:
        output.write_json(
            {
                "path": os.fspath(report.path),
                "created_ms": report.created_ms,
                "topics": report.topics,
                "partitions": report.partitions,
                "groups": report.groups,
                "records": report.records,
                "bytes": report.size_bytes,
                "linked_bytes": report.linked_bytes,
            }
        )
        return
    output.write_line(
        f"backed up {counted(report.records, 'record')} in {counted(report.partitions, 'partition')} of "
        f"{counted(report.topics, 'topic')}, and {counted(report.groups, 'group')}"
    )
    output.write_line(f"{report.size_bytes} bytes, of which {report.linked_bytes} are shared with the store")
    output.write_line(output.printable(f"in {report.path}"))
