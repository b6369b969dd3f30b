"""`eventlog verify`: check every byte of the log."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click

from eventlog.cli import output
from eventlog.cli.store import open_store

if TYPE_CHECKING:
    from eventlog.storage.segments.inspection import VerifyReport

_HEADERS = ("PARTITION", "SEGMENTS", "BATCHES", "RECORDS", "BYTES", "PROBLEMS")


@click.command()
@click.argument("topic", required=False)
@click.option("--backup", metavar="DIR", help="Check a backup in this directory instead; needs no store.")
@output.json_option
def verify(topic: str | None, backup: str | None, as_json: bool) -> None:
    """Check every batch and index of TOPIC, or of all topics.

    Each problem is shown with its file, its position and the reason. The exit status is 1 if there is any.

    \b
    Example:
      eventlog verify orders
      eventlog verify --backup /backups/monday
    """
    if topic is not None and backup is not None:
        raise click.UsageError("--backup checks a whole backup: it cannot be combined with a TOPIC")
    reports = _verify_backup(backup) if backup is not None else _verify_store(topic)
    problems = [problem for report in reports for problem in report.problems]
    if as_json:
        for report in reports:
            output.write_json(_report_object(report))
    else:
        output.write_table(_HEADERS, [_report_row(report) for report in reports])
        for problem in problems:
            output.write_line(output.printable(f"{problem.path}: byte {problem.position}: {problem.reason}"))
    if problems:
        noun = "problem" if len(problems) == 1 else "problems"
        raise click.ClickException(f"{len(problems)} {noun} found")


def _verify_store(topic: str | None) -> list[VerifyReport]:
    with open_store() as log:
        return log.verify(topic)


def _verify_backup(backup: str) -> list[VerifyReport]:
    import eventlog

    return eventlog.verify_backup(backup)


def _report_object(report: VerifyReport) -> dict[str, Any]:
    return {
        "directory": str(report.directory),
        "segments": report.segments,
        "batches": report.batches,
        "records": report.records,
        "bytes": report.bytes,
        "problems": [
            {"path": str(problem.path), "position": problem.position, "reason": problem.reason} for problem in report.problems
        ],
    }


def _report_row(report: VerifyReport) -> tuple[object, ...]:
    name = os.path.basename(report.directory)
    return name, report.segments, report.batches, report.records, report.bytes, len(report.problems)
