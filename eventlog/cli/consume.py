"""`eventlog consume`: print the records of a topic."""

from __future__ import annotations

import sys
from collections.abc import Callable
from itertools import islice
from typing import TYPE_CHECKING

import click

from eventlog.cli import output
from eventlog.cli.following import consume_as_member, follow
from eventlog.cli.parsing import Start, start_type
from eventlog.cli.store import open_partitions, open_store

if TYPE_CHECKING:
    from eventlog import Partition, Record

# Prints the records of a partition from one offset up to another, but not more than so many; returns how
# many.
_Printer = Callable[["Partition", int, int, int], int]
_NO_LIMIT = sys.maxsize


@click.command()
@click.argument("topic")
@click.option("--partition", type=click.IntRange(min=0), help="Only this partition.")
@click.option(
    "--from",
    "start",
    metavar="earliest|latest|OFFSET|TIME",
    type=start_type,
    default="earliest",
    show_default=True,
    help="Where to start. A bare number is an offset; a TIME is UTC unless it names a zone.",
)
@click.option("--group", metavar="GROUP", help="Consume as a member of this group: what was printed is acknowledged.")
@click.option("--max", "max_records", type=click.IntRange(min=0), help="Stop after this many records.")
@click.option("--follow", "is_following", is_flag=True, help="Wait for more records at the end.")
@click.option(
    "--format",
    "output_format",
    type=click.Choice(["value", "json"]),
    default="value",
    show_default=True,
    help="The bare value and a newline, or the whole record as a JSON object.",
)
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
def consume(
    topic: str,
    partition: int | None,
    start: Start,
    group: str | None,
    max_records: int | None,
    is_following: bool,
    output_format: str,
    as_json: bool,
) -> None:
    """Print the records of TOPIC, one partition after the other.

    Ends at the records that stood last when it began, or with --follow never: Ctrl-C ends it with status 130.

    With --group several terminals share the partitions, each goes on where the group has come to, and what was
    printed is committed. --from then says where a group begins that has committed nothing.

    \b
    Example:
      eventlog consume orders --from 2026-11-01T10:00 --format json
      eventlog consume orders --from latest --follow
      eventlog consume orders --group billing --follow
    """
    is_json = as_json or output_format == "json"
    limit = _NO_LIMIT if max_records is None else max_records
    if group is not None:
        _check_goes_with_group(partition, start)
    with open_store() as log:
        print_record = _print_object if is_json else _print_value
        if group is not None:
            consume_as_member(log, topic, group, start.kind, limit, is_following, print_record)
            return
        partitions = open_partitions(log, topic, partition)
        if start.kind == "offset" and len(partitions) > 1:
            raise click.UsageError(f"an offset needs --partition: {topic} has {len(partitions)} partitions")
        stops = [item.end_offset for item in partitions]
        positions = {item: start.resolve(item) for item in partitions}
        if start.kind == "offset":
            # Out of range is an error even when nothing would be printed.
            partitions[0].read(start.number, max_records=1)
        for item, stop in zip(partitions, stops, strict=True):
            limit -= _advance(item, positions, stop, limit, _print_json if is_json else _print_values)
        if is_following and limit > 0:
            output.flush()
            follow(log, positions, limit, print_record)


def _check_goes_with_group(partition: int | None, start: Start) -> None:
    if partition is not None:
        raise click.UsageError("--partition does not go with --group: the group's members share the partitions")
    if start.kind not in ("earliest", "latest"):
        raise click.UsageError(
            "--from with --group is earliest or latest, for a group that has committed nothing; "
            "Group.reset in Python moves a group"
        )


def _advance(partition: Partition, positions: dict[Partition, int], stop: int, limit: int, printer: _Printer) -> int:
    """Print from the partition's position up to `stop`, at most `limit` records; return how many."""
    printed = printer(partition, positions[partition], stop, limit) if positions[partition] < stop else 0
    positions[partition] = stop
    return printed


def _print_values(partition: Partition, start: int, stop: int, limit: int) -> int:
    write = output.standard_output().write
    printed = 0
    for value in islice(partition.values(start, stop), limit):
        write(value or b"")
        write(b"\n")
        printed += 1
    return printed


def _print_json(partition: Partition, start: int, stop: int, limit: int) -> int:
    printed = 0
    for record in islice(partition.records(start, stop), limit):
        _print_object(record)
        printed += 1
    return printed


def _print_value(record: Record) -> None:
    write = output.standard_output().write
    write(record.value or b"")
    write(b"\n")


def _print_object(record: Record) -> None:
    output.write_json(output.record_object(record))
