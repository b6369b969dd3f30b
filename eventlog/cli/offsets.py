"""`eventlog offsets`: where the partitions of a topic, or of all topics, start and end."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from eventlog.cli import output
from eventlog.cli.parsing import time_type
from eventlog.cli.spelling import parse_named
from eventlog.cli.store import open_store
from eventlog.errors import TopicNotFoundError

if TYPE_CHECKING:
    from eventlog import EventLog, PartitionOffsets

_RowsOf = Callable[["EventLog", str], Iterable[dict[str, Any]]]

_HEADERS = ("TOPIC", "PARTITION", "START", "END", "DURABLE", "RECORDS")


@click.command()
@click.argument("topic", required=False)
@click.option("--time", "timestamp_ms", metavar="TIME", type=time_type, help="Show the first offset at or after this time.")
@output.json_option
def offsets(topic: str | None, timestamp_ms: int | None, as_json: bool) -> None:
    """Show the offsets of each partition of TOPIC, or of all topics.

    START is the first record's offset, END the offset that the next record gets, and everything before
    DURABLE is on disk. With --time: the first record at or after TIME, such as 2026-11-01 or 2026-11-01T10:00 (UTC
    unless it names a zone), or milliseconds since 1970; "-" if there is none.

    \b
    Example:
      eventlog offsets
      eventlog offsets orders --time 2026-11-01T10:00
    """
    rows_of = _offset_rows if timestamp_ms is None else _time_rows(timestamp_ms)
    topic, numbers = (None, ()) if topic is None else parse_named(topic)
    with open_store() as log:
        for number in numbers:
            log.partition(str(topic), number)  # raises the error if there is no such partition
        rows = [row for row in _rows(log, topic, rows_of) if not numbers or row["partition"] in numbers]
    if as_json:
        for row in rows:
            output.write_json(row)
        return
    headers = _HEADERS if timestamp_ms is None else ("TOPIC", "PARTITION", "OFFSET")
    shown = [tuple(value for member, value in row.items() if member != "timestamp") for row in rows]
    # The topic that was named need not be told again.
    skipped = 0 if topic is None else 1
    output.write_table(headers[skipped:], [row[skipped:] for row in shown])


def _rows(log: EventLog, topic: str | None, rows_of: _RowsOf) -> Iterator[dict[str, Any]]:
    """One a partition, of one topic or of all of them."""
    if topic is not None:
        yield from rows_of(log, topic)
        return
    for name in log.topics():
        try:
            yield from rows_of(log, name)
        except TopicNotFoundError:
            continue  # deleted meanwhile


def _offset_rows(log: EventLog, topic: str) -> list[dict[str, Any]]:
    return [{"topic": topic, **row} for row in offset_rows(log.offsets(topic))]


def _time_rows(timestamp_ms: int) -> _RowsOf:
    def rows_of(log: EventLog, topic: str) -> Iterable[dict[str, Any]]:
        # A partition without records has none at any time, and need not be opened to say so.
        is_empty = [offsets.start_offset == offsets.end_offset for offsets in log.offsets(topic)]
        for number, nothing in enumerate(is_empty):
            offset = None if nothing else log.partition(topic, number).offset_for_time(timestamp_ms)
            yield {"topic": topic, "partition": number, "timestamp": timestamp_ms, "offset": offset}

    return rows_of


def offset_rows(offsets: Sequence[PartitionOffsets]) -> list[dict[str, int]]:
    """The offsets of each partition as JSON shows them."""
    return [
        {
            "partition": number,
            "start_offset": start,
            "end_offset": end,
            "durable_offset": durable,
            "records": end - start,
        }
        for number, (start, end, durable) in enumerate(offsets)
    ]
