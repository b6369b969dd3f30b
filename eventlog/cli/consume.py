"""`eventlog consume`: print the records of a topic."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from eventlog.cli import output
from eventlog.cli.member import check_goes_with_group, consume_as_member
from eventlog.cli.selection import CHUNK_RECORDS, Selection, reading_options, write_counts, write_records
from eventlog.cli.spelling import narrow
from eventlog.cli.store import open_store
from eventlog.records.record import TopicPartition

if TYPE_CHECKING:
    from eventlog import EventLog


@click.command()
@click.argument("topic")
@reading_options
@click.option("-g", "--group", metavar="GROUP", help="Consume as a member of this group: what was printed is acknowledged.")
@click.option("-f", "--follow", "is_following", is_flag=True, help="Wait for more records at the end.")
def consume(topic: str, group: str | None, is_following: bool, **options: Any) -> None:
    """Print the records of TOPIC, one partition after the other.

    Stops at the records that were last when it began. With --follow it never stops; Ctrl-C ends it with status 130.

    With --group, several terminals share the partitions. Each continues from the group's committed offsets, and commits
    what was printed or not selected. --from then says where a group begins that has committed nothing.

    \b
    Example:
      eventlog consume orders --from 2026-11-01 --to 2026-11-02 --json
      eventlog consume orders --last 10 --follow --key customer-7
      eventlog consume orders --format '{time:%H:%M} {key}: {value.total}'
      eventlog consume orders --group billing --follow
    """
    topic, options["partitions"] = narrow(topic, options["partitions"])
    selection = Selection(**options)
    if is_following and (selection.stop is not None or selection.is_count):
        raise click.UsageError(f"--follow cannot be combined with {'--count' if selection.is_count else '--to'}: it never ends")
    if group is not None:
        check_goes_with_group(selection)
    with open_store() as log:
        if group is not None:
            ends = {TopicPartition(topic, item.partition): item.end_offset for item in selection.open_partitions(log, topic)}
            consume_as_member(log, topic, group, None if is_following else ends, selection)
            return
        spans = selection.spans(selection.open_partitions(log, topic))
        limit = selection.limit
        counts = {}
        for span in spans:
            if selection.is_count:
                found = selection.count(span, limit)
            else:
                found = write_records(selection.records(span), limit, selection.write)
            counts[span.partition.partition] = found
            limit -= found
        if selection.is_count:
            write_counts(topic, counts, as_json=selection.as_json)
        if is_following and limit > 0:
            stops = {TopicPartition(topic, span.partition.partition): max(span.first, span.stop) for span in spans}
            _follow(log, topic, stops, limit, selection)


def _follow(log: EventLog, topic: str, stops: Mapping[TopicPartition, int], limit: int, selection: Selection) -> None:
    """Print the records from these offsets on, until `limit` records were printed or Ctrl-C. Unless partitions
    were chosen, those that are added meanwhile are printed, too, from their first record on."""
    output.flush()
    with log.consumer() as consumer:
        if selection.partitions:
            consumer.assign(list(stops))
        else:
            consumer.subscribe(topic)
            consumer.poll(0, max_records=1)  # which has the partitions assigned; what it returns comes again
        for topic_partition in consumer.assignment():
            if topic_partition in stops:
                consumer.seek(topic_partition, stops[topic_partition])
            else:
                consumer.seek_to_beginning(topic_partition)
        while limit > 0:
            records = consumer.poll(output.READER_CHECK_SECONDS, max_records=min(limit, CHUNK_RECORDS))
            if not records:
                output.check_reader()
                continue
            limit -= write_records(selection.filter(records), limit, selection.write)
            output.flush()
