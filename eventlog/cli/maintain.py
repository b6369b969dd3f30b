"""`eventlog maintain`: housekeeping."""

from __future__ import annotations

from threading import Event
from typing import TYPE_CHECKING, Any

import click

from eventlog.cli import output
from eventlog.cli.store import open_store

if TYPE_CHECKING:
    from eventlog import EventLog, MaintenanceReport, PartitionMaintenance

_HEADERS = (
    "PARTITION", "DELETED BY", "SEGMENTS", "RECORDS", "BYTES", "OLDEST", "NEWEST", "STARTS AT", "COMPACTED", "HELD BACK BY",
)  # fmt: skip


@click.command()
@click.option("--every", "seconds", type=click.IntRange(min=1), metavar="SECONDS", help="Repeat until Ctrl-C.")
@click.option("--compact-all", is_flag=True, help="Also compact what is hardly worth it.")
@click.option("--dry-run", is_flag=True, help="Show what would be deleted, and why; change nothing.")
@output.json_option
def maintain(seconds: int | None, compact_all: bool, dry_run: bool, as_json: bool) -> None:
    """Delete what retention no longer keeps, and compact.

    Segments are deleted by retention.ms, retention.bytes and retention.acked, and only where a
    topic has such a setting; topics with cleanup.policy=compact keep the latest record of each
    key. Groups without members that have committed nothing for a week are deleted, too. Shows
    what was done, and for topics with retention.acked which groups hold back deletion. With
    --dry-run it only shows what would be done.

    Other programs may keep using the store; if several maintain it, one does the work.

    \b
    Example:
      eventlog maintain --dry-run
      eventlog maintain --every 60
    """
    if dry_run and seconds is not None:
        raise click.UsageError("--dry-run runs once: it cannot be combined with --every")
    with open_store() as log:
        failures = _round(log, compact_all, dry_run, as_json)
        while seconds is not None:
            output.flush()
            _wait(seconds)
            failures = _round(log, compact_all, dry_run, as_json)
    if failures:
        raise click.ClickException(f"{failures} failed; the rest of the round is done")


def _wait(seconds: float) -> None:
    """Sleep, and notice when the output is no longer read."""
    while seconds > 0:
        Event().wait(min(seconds, output.READER_CHECK_SECONDS))
        output.check_reader()
        seconds -= output.READER_CHECK_SECONDS


def _round(log: EventLog, compact_all: bool, dry_run: bool, as_json: bool) -> int:
    report = log.maintain(compact_all=compact_all, dry_run=dry_run)
    if as_json:
        output.write_json(_report_object(report))
    elif report.is_elsewhere:
        output.write_line("another process is doing it")
    else:
        _write(report)
    return len(report.failures)


def _write(report: MaintenanceReport) -> None:
    if report.partitions:
        output.write_table(_HEADERS, [_row(done) for done in report.partitions])
    for text, names in (("deleted topic", report.deleted_topics), ("removed unused group", report.expired_groups)):
        for name in names:
            output.write_line(f"to be {text} {name}" if report.is_dry_run else f"{text} {name}")
    for done in report.partitions:
        for path in done.rebuilt:
            what = "would be" if report.is_dry_run else "was"
            text = f"{done.topic}/{done.partition}: {path.name} was missing or damaged, and {what} rebuilt"
            output.write_line(output.printable(text))
        if done.open_transaction is not None:
            producer, offset = done.open_transaction
            output.write_line(
                f"{done.topic}/{done.partition}: nothing from offset {offset} on is compacted, because a transaction of "
                f"producer {producer} that began there has not ended; if its broker has ended it since, import the log again"
            )
    for subject, reason in report.failures:
        output.write_line(output.printable(f"{subject}: {reason}"))
    if not (report.partitions or report.deleted_topics or report.expired_groups or report.failures):
        output.write_line("nothing to do")
    elif report.is_dry_run:
        output.write_line("nothing was changed: run it without --dry-run to do it")


def _row(done: PartitionMaintenance) -> tuple[object, ...]:
    compacted = done.compacted
    return (
        f"{done.topic}/{done.partition}",
        done.reason or None,
        done.deleted_segments,
        done.deleted_records,
        done.deleted_bytes,
        None if done.oldest_ms is None else output.time_text(done.oldest_ms),
        None if done.newest_ms is None else output.time_text(done.newest_ms),
        done.start_offset,
        None if compacted is None else f"{compacted.records_before} -> {compacted.records_after} records by {compacted.reason}",
        ", ".join(f"{held.group} ({held.records})" for held in done.held_back_by) or None,
    )


def _report_object(report: MaintenanceReport) -> dict[str, Any]:
    return {
        "is_elsewhere": report.is_elsewhere,
        "is_dry_run": report.is_dry_run,
        "partitions": [_partition_object(done) for done in report.partitions],
        "expired_groups": report.expired_groups,
        "deleted_topics": report.deleted_topics,
        "failures": [{"subject": subject, "reason": reason} for subject, reason in report.failures],
    }


def _partition_object(done: PartitionMaintenance) -> dict[str, Any]:
    return {
        "topic": done.topic,
        "partition": done.partition,
        "start_offset": done.start_offset,
        "reason": done.reason or None,
        "deleted_segments": done.deleted_segments,
        "deleted_records": done.deleted_records,
        "deleted_bytes": done.deleted_bytes,
        "oldest_timestamp": done.oldest_ms,
        "newest_timestamp": done.newest_ms,
        "compacted": None if done.compacted is None else done.compacted._asdict(),
        "held_back_by": [
            {"group": held.group, "committed": held.committed, "records": held.records} for held in done.held_back_by
        ],
        "open_transaction": None if done.open_transaction is None else done.open_transaction._asdict(),
        "rebuilt": [str(path) for path in done.rebuilt],
    }
