"""`eventlog offsets`: where the partitions of a topic start and end."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import click

from eventlog.cli import output
from eventlog.cli.parsing import time_type
from eventlog.cli.store import open_partitions, open_store

if TYPE_CHECKING:
    from eventlog import Partition


@click.command()
@click.argument("topic")
@click.option(
    "--time", "timestamp_ms", metavar="TIME", type=time_type, help="Show the first offset at or after this time."
)
@output.json_option
def offsets(topic: str, timestamp_ms: int | None, as_json: bool) -> None:
    """Show the offsets of each partition of TOPIC.

    START is the first record's offset, END the offset that the next record gets, and what lies before DURABLE
    is on disk. With --time: the first record at or after TIME, such as 2026-11-01 or 2026-11-01T10:00 (UTC
    unless it names a zone), or milliseconds since 1970; "-" if there is none.

    \b
    Example:
      eventlog offsets orders
      eventlog offsets orders --time 2026-11-01T10:00
    """
    with open_store() as log:
        partitions = open_partitions(log, topic)
        if timestamp_ms is None:
            rows = offset_rows(partitions)
        else:
            rows = [_time_row(partition, timestamp_ms) for partition in partitions]
    if as_json:
        for row in rows:
            output.write_json({"topic": topic, **row})
    elif timestamp_ms is None:
        write_offset_rows(rows)
    else:
        output.write_table(["PARTITION", "OFFSET"], [(row["partition"], row["offset"]) for row in rows])


def _time_row(partition: Partition, timestamp_ms: int) -> dict[str, Any]:
    offset = partition.offset_for_time(timestamp_ms)
    return {"partition": partition.partition, "timestamp": timestamp_ms, "offset": offset}


def offset_rows(partitions: Iterable[Partition]) -> list[dict[str, int]]:
    """The offsets of each partition as JSON shows them."""
    rows = []
    for partition in partitions:
        # Writers move the offsets while we look: taken in this order, start <= durable <= end always holds.
        start, durable, end = partition.start_offset, partition.durable_offset, partition.end_offset
        rows.append(
            {
                "partition": partition.partition,
                "start_offset": start,
                "end_offset": end,
                "durable_offset": durable,
                "records": end - start,
            }
        )
    return rows


def write_offset_rows(rows: Iterable[dict[str, int]]) -> None:
    """Print what offset_rows returned as a table."""
    output.write_table(["PARTITION", "START", "END", "DURABLE", "RECORDS"], [list(row.values()) for row in rows])
