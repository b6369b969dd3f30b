"""`eventlog consume --group`: print the partitions that a consumer group gives to this process, and acknowledge them."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from eventlog.cli import output
from eventlog.cli.selection import Selection, Write
from eventlog.errors import GroupNotFoundError, StaleMemberError
from eventlog.records.record import TopicPartition

if TYPE_CHECKING:
    from types import FrameType

    from eventlog import Consumer, EventLog, Record

_POLL_RECORDS = 500


def check_goes_with_group(selection: Selection) -> None:
    """Raise click.UsageError for options that a member of a group cannot have."""
    if selection.partitions:
        raise click.UsageError("--partition cannot be combined with --group: the group's members share the partitions")
    for option, is_given in (
        ("--to", selection.stop is not None),
        ("--last", selection.last is not None),
        ("--count", selection.is_count),
    ):
        if is_given:
            raise click.UsageError(
                f"{option} cannot be combined with --group: records that are not printed would be acknowledged"
            )
    if selection.start is not None and selection.start.kind not in ("earliest", "latest"):
        raise click.UsageError(
            "with a group, --from can only be earliest or latest: where it begins if it has committed nothing; "
            "'eventlog groups reset' moves a group"
        )


def consume_as_member(
    log: EventLog,
    topic: str,
    group: str,
    stops: Mapping[TopicPartition, int] | None,
    selection: Selection,
) -> None:
    """Print what the group gives this member and is selected, and nothing at or after the `stops` if there are any.

    Ends when all partitions that it has are at their stops, or as many were printed as were asked for."""
    reset = "earliest" if selection.start is None else selection.start.kind
    with log.consumer(topic, group=group, auto_offset_reset=reset) as consumer:
        limit = selection.limit
        timeout = 0.0  # there may be nothing to wait for
        while limit > 0:
            records = consumer.poll(timeout, max_records=min(limit, _POLL_RECORDS))
            timeout = output.READER_CHECK_SECONDS
            if stops is not None:
                records = [record for record in records if record.offset < stops.get(_partition_of(record), 0)]
            selected = list(selection.filter(records))
            is_acknowledged = _print(consumer, records, selected, selection.write)
            limit -= len(selected)
            if stops is not None and is_acknowledged and _is_done(log, consumer, group, stops, is_idle=not records):
                return


def _partition_of(record: Record) -> TopicPartition:
    return TopicPartition(record.topic, record.partition)


def _print(consumer: Consumer, records: Sequence[Record], selected: Sequence[Record], write: Write) -> bool:
    """Write the selected records out, and then acknowledge all of them; True if that was possible for all."""
    if not records:
        output.check_reader()
        return True
    with interrupt_put_off():
        write(selected)
        output.flush()
        output.check_reader()
        return _acknowledge(consumer, {_partition_of(record): record.offset + 1 for record in records})


def _acknowledge(consumer: Consumer, offsets: Mapping[TopicPartition, int]) -> bool:
    is_complete = True
    for topic_partition, offset in offsets.items():
        try:
            consumer.commit({topic_partition: offset})
        except StaleMemberError:
            # The group was reset, or expelled this member because its output was not read. The next poll finds out which
            # partitions it owns now, and the new owner prints again what was not acknowledged.
            is_complete = False
    return is_complete


def _is_done(log: EventLog, consumer: Consumer, group: str, stops: Mapping[TopicPartition, int], *, is_idle: bool) -> bool:
    own = consumer.assignment()
    for topic_partition in own:
        position, stop = consumer.position(topic_partition), stops.get(topic_partition, 0)
        if position < stop and not (is_idle and _is_nothing_between(log, topic_partition, position, stop)):
            return False
    target = _target(log, consumer, group)
    return target is not None and target <= own


def _is_nothing_between(log: EventLog, topic_partition: TopicPartition, position: int, stop: int) -> bool:
    """Has compaction left no record here? Then none is ever printed that would bring the position to the stop."""
    partition = log.partition(*topic_partition)
    following = partition.read(max(position, partition.start_offset), max_records=1)
    return not following or following[0].offset >= stop


def _target(log: EventLog, consumer: Consumer, group: str) -> set[TopicPartition] | None:
    """What the group means this process to have. Another member may have some of it still, and is about to give it up. None
    while a cluster has not shared the partitions out yet."""
    is_on_cluster = hasattr(consumer, "member_id")
    try:
        found = log.group(group)
        members = found.describe().members
    except GroupNotFoundError:
        return None if is_on_cluster else set()
    if is_on_cluster:
        own_id = getattr(consumer, "member_id", None)
        own = [set(each.assigned) for each in members if each.member_id == own_id]
        return own[0] if own and getattr(found, "is_stable", True) else None
    me = os.getpid(), os.uname().nodename
    return {each for member in members if (member.process_id, member.host) == me for each in member.assigned}


@contextmanager
def interrupt_put_off() -> Iterator[None]:
    """Let Ctrl-C wait until the block is done, so that what is printed is acknowledged, too. A second one ends the block at
    once, and what is not written by then is not written any more."""
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield  # started with Ctrl-C ignored, as in the background of a script
        return
    was_interrupted = False

    def note(number: int, frame: FrameType | None) -> None:
        nonlocal was_interrupted
        if was_interrupted:
            raise KeyboardInterrupt
        was_interrupted = True

    signal.signal(signal.SIGINT, note)
    try:
        yield
    except KeyboardInterrupt:
        output.discard()
        raise
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if was_interrupted:
        raise KeyboardInterrupt
