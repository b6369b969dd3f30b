"""`eventlog maintain`: housekeeping."""

from __future__ import annotations

from threading import Event
from typing import TYPE_CHECKING, Any

import click

from eventlog.cli import output
from eventlog.cli.store import open_store

if TYPE_CHECKING:
    from eventlog import EventLog, MaintenanceReport, PartitionMaintenance

_HEADERS = ("PARTITION", "DELETED BY", "SEGMENTS", "BYTES", "STARTS AT", "COMPACTED", "HELD BACK BY")


@click.command()
@click.option("--every", "seconds", type=click.IntRange(min=1), metavar="SECONDS", help="Do it again and again, until Ctrl-C.")
@click.option("--compact-all", is_flag=True, help="Compact also what is hardly worth it.")
@output.json_option
def maintain(seconds: int | None, compact_all: bool, as_json: bool) -> None:
    """Delete what retention no longer keeps, and compact.

    Segments go by retention.ms, retention.bytes and retention.acked; topics with
    cleanup.policy=compact keep the latest record of each key. Groups without members that
    have committed nothing for a week go, too. Shows what was done, and for topics with
    retention.acked which groups have records before them still.

    Other programs may go on using the store; of several that maintain it, one does the work.

    \b
    Example:
      eventlog maintain
      eventlog maintain --every 60
    """
    with open_store() as log:
        failures = _round(log, compact_all, as_json)
        while seconds is not None:
            output.flush()
            _wait(seconds)
            failures = _round(log, compact_all, as_json)
    if failures:
        raise click.ClickException(f"{failures} failed; the rest of the round was done")


def _wait(seconds: float) -> None:
    """Sleep, and notice when nobody reads the output any more."""
    while seconds > 0:
        Event().wait(min(seconds, output.READER_CHECK_SECONDS))
        output.check_reader()
        seconds -= output.READER_CHECK_SECONDS


def _round(log: EventLog, compact_all: bool, as_json: bool) -> int:
    report = log.maintain(compact_all=compact_all)
    if as_json:
        output.write_json(_report_object(report))
        return len(report.failures)
    if report.is_elsewhere:
        output.write_line("another process is at it")
        return 0
    if report.partitions:
        output.write_table(_HEADERS, [_row(done) for done in report.partitions])
    for text, names in (("deleted topic", report.deleted_topics), ("removed unused group", report.expired_groups)):
        for name in names:
            output.write_line(f"{text} {name}")
    for done in report.partitions:
        for path in done.rebuilt:
            text = f"{done.topic}-{done.partition}: {path.name} was missing or rotten, and was made anew"
            output.write_line(output.printable(text))
    for subject, reason in report.failures:
        output.write_line(output.printable(f"{subject}: {reason}"))
    if not (report.partitions or report.deleted_topics or report.expired_groups or report.failures):
        output.write_line("nothing to do")
    return len(report.failures)


def _row(done: PartitionMaintenance) -> tuple[object, ...]:
    compacted = done.compacted
    return (
        f"{done.topic}-{done.partition}",
        done.reason or None,
        done.deleted_segments,
        done.deleted_bytes,
        done.start_offset,
        None if compacted is None else f"{compacted.records_before} -> {compacted.records_after} records",
        ", ".join(f"{held.group} ({held.records})" for held in done.held_back_by) or None,
    )


def _report_object(report: MaintenanceReport) -> dict[str, Any]:
    return {
        "is_elsewhere": report.is_elsewhere,
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
        "deleted_bytes": done.deleted_bytes,
        "compacted": None if done.compacted is None else done.compacted._asdict(),
        "held_back_by": [
            {"group": held.group, "committed": held.committed, "records": held.records} for held in done.held_back_by
        ],
        "rebuilt": [str(path) for path in done.rebuilt],
    }
