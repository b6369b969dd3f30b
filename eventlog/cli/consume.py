"""`eventlog consume`: print the records of a topic."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from itertools import islice
from typing import TYPE_CHECKING

import click

from eventlog.cli import output
from eventlog.cli.member import check_goes_with_group, consume_as_member
from eventlog.cli.parsing import Start, start_type
from eventlog.cli.store import open_partitions, open_store
from eventlog.records.record import TopicPartition

if TYPE_CHECKING:
    from eventlog import EventLog, Partition, Record

_Write = Callable[[Sequence["Record"]], None]
_NO_LIMIT = sys.maxsize
_CHUNK_RECORDS = 500


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
    write = _write_objects if as_json or output_format == "json" else _write_values
    limit = _NO_LIMIT if max_records is None else max_records
    if group is not None:
        check_goes_with_group(partition, start)
    with open_store() as log:
        partitions = open_partitions(log, topic, partition)
        stops = {TopicPartition(topic, item.partition): item.end_offset for item in partitions}
        if group is not None:
            consume_as_member(log, topic, group, start, None if is_following else stops, limit, write)
            return
        if start.kind == "offset" and len(partitions) > 1:
            raise click.UsageError(f"an offset needs --partition: {topic} has {len(partitions)} partitions")
        starts = [start.resolve(item) for item in partitions]
        if start.kind == "offset":
            # Out of range is an error even when nothing would be printed.
            partitions[0].read(start.number, max_records=1)
        for item, first, stop in zip(partitions, starts, stops.values(), strict=True):
            limit -= _print(item, first, stop, limit, write)
        if is_following and limit > 0:
            places = {place: max(first, stop) for first, (place, stop) in zip(starts, stops.items(), strict=True)}
            _follow(log, places, limit, write)


def _print(partition: Partition, start: int, stop: int, limit: int, write: _Write) -> int:
    """Print from one offset up to another, at most `limit` records; return how many."""
    printed = 0
    records = islice(partition.records(start, stop), limit)
    while chunk := list(islice(records, _CHUNK_RECORDS)):
        write(chunk)
        printed += len(chunk)
    return printed


def _follow(log: EventLog, places: dict[TopicPartition, int], limit: int, write: _Write) -> None:
    """Print what stands at these offsets and what comes behind, until there were `limit` records or Ctrl-C."""
    output.flush()
    with log.consumer() as consumer:
        consumer.assign(places)
        for place, offset in places.items():
            consumer.seek(place, offset)
        while limit > 0:
            records = consumer.poll(output.READER_CHECK_SECONDS, max_records=min(limit, _CHUNK_RECORDS))
            if records:
                write(records)
                output.flush()
                limit -= len(records)
            else:
                output.check_reader()


def _write_values(records: Sequence[Record]) -> None:
    output.standard_output().write(b"".join([(record.value or b"") + b"\n" for record in records]))


def _write_objects(records: Sequence[Record]) -> None:
    for record in records:
        output.write_json(output.record_object(record))
