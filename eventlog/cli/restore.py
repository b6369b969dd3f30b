"""`eventlog restore`: make a store of a backup."""

from __future__ import annotations

import os

import click

from eventlog.cli import output
from eventlog.cli.backup import counted


@click.command()
@click.argument("source", metavar="BACKUP")
@click.argument("destination", metavar="DEST")
@output.json_option
def restore(source: str, destination: str, as_json: bool) -> None:
    """Create a store from a backup.

    DEST is a new or empty directory. Every byte of BACKUP is verified first; the backup is not changed. Groups continue
    from the offsets that they had committed. Needs no --store.

    \b
    Example:
      eventlog restore /backups/monday shop-again
    """
    import eventlog

    report = eventlog.restore(source, destination)
    if as_json:
        output.write_json(
            {
                "path": os.fspath(report.path),
                "created_ms": report.created_ms,
                "topics": report.topics,
                "partitions": report.partitions,
                "records": report.records,
                "bytes": report.size_bytes,
            }
        )
        return
    output.write_line(
        f"restored {counted(report.records, 'record')} in {counted(report.partitions, 'partition')} of "
        f"{counted(report.topics, 'topic')}, as of {output.time_text(report.created_ms)}"
    )
    output.write_line(output.printable(f"in {report.path}"))
