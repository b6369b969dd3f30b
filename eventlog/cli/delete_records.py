"""`eventlog delete-records`: delete the beginning of a topic's partitions."""

from __future__ import annotations

from typing import Any

import click

from eventlog.cli import output
from eventlog.cli.parsing import Start, start_type
from eventlog.cli.spelling import narrow
from eventlog.cli.store import execute_option, open_partitions, open_store


@click.command("delete-records")
@click.argument("topic")
@click.option("-p", "--partition", type=click.IntRange(min=0), help="Only this partition.")
@click.option(
    "--before",
    "before",
    metavar="latest|OFFSET|TIME",
    type=start_type,
    required=True,
    help="The first record to keep. A bare number is an offset; a TIME is UTC unless it names a zone.",
)
@execute_option
@output.json_option
def delete_records(topic: str, partition: int | None, before: Start, is_executed: bool, as_json: bool) -> None:
    """Delete the records of TOPIC before an offset or a time.

    Shows what would be deleted; --execute deletes it. A file is removed once it holds no other
    records. Consumers that had not come that far continue by their auto_offset_reset.

    \b
    Example:
      eventlog delete-records orders --before 2026-11-01
      eventlog delete-records orders --partition 0 --before 1200 --execute
    """
    topic, numbers = narrow(topic, () if partition is None else (partition,))
    with open_store() as log:
        partitions = open_partitions(log, topic, numbers)
        if before.kind == "offset" and len(partitions) > 1:
            raise click.UsageError(f"an offset needs --partition: {topic} has {len(partitions)} partitions")
        rows: list[dict[str, Any]] = []
        for item in partitions:
            start, target = item.start_offset, before.resolve(item)
            item.read(target, max_records=1)  # out of range is an error before anything is deleted
            rows.append({"topic": topic, "partition": item.partition, "start_offset": start, "before": target})
        for item, row in zip(partitions, rows, strict=True):
            row["records"] = max(0, row["before"] - row["start_offset"])
            row["is_deleted"] = is_executed
            if is_executed:
                item.delete_records(row["before"])
    if as_json:
        for row in rows:
            output.write_json(row)
        return
    table = [(row["partition"], row["start_offset"], row["before"], row["records"]) for row in rows]
    output.write_table(["PARTITION", "START", "NEW START", "DELETED"], table)
    if not is_executed:
        output.write_line("nothing was deleted: use --execute to do it")
