"""`eventlog verify`: check every byte of the log."""

from __future__ import annotations

import os

import click

from eventlog.cli import output
from eventlog.cli.store import open_store


@click.command()
@click.argument("topic", required=False)
@output.json_option
@click.pass_context
def verify(ctx: click.Context, topic: str | None, as_json: bool) -> None:
    """Check every batch and index of TOPIC, or of all topics.

    Each problem is shown with its file, the position in it and the reason. Exit status 1 if there is any.

    \b
    Example:
      eventlog verify orders
    """
    with open_store() as log:
        reports = log.verify(topic)
    problems = [problem for report in reports for problem in report.problems]
    if as_json:
        for report in reports:
            output.write_json(
                {
                    "directory": os.fspath(report.directory),
                    "segments": report.segments,
                    "batches": report.batches,
                    "records": report.records,
                    "bytes": report.bytes,
                    "problems": [
                        {"path": os.fspath(item.path), "position": item.position, "reason": item.reason}
                        for item in report.problems
                    ],
                }
            )
    else:
        output.write_table(
            ["PARTITION", "SEGMENTS", "BATCHES", "RECORDS", "BYTES", "PROBLEMS"],
            [
                (
                    os.path.basename(report.directory),
                    report.segments,
                    report.batches,
                    report.records,
                    report.bytes,
                    len(report.problems),
                )
                for report in reports
            ],
        )
        for problem in problems:
            output.write_line(output.printable(f"{problem.path}: position {problem.position}: {problem.reason}"))
    if problems:
        noun = "problem" if len(problems) == 1 else "problems"
        raise click.ClickException(f"{len(problems)} {noun} found")
