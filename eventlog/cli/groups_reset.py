"""`eventlog groups reset`: move the committed offsets of a group, stopped or running."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import IO, TYPE_CHECKING, Any

import click

from eventlog.cli import output
from eventlog.cli.parsing import OFFSET_MAX, Start, start_type
from eventlog.cli.spelling import parse_named
from eventlog.cli.store import open_store
from eventlog.errors import InvalidArgumentError
from eventlog.records.record import TopicPartition

if TYPE_CHECKING:
    from eventlog import EventLog, Group

_HEADERS = ("TOPIC", "PARTITION", "BEFORE", "AFTER", "STATE")


@click.command("reset")
@click.argument("group")
@click.option("-t", "--topic", "topics", metavar="TOPIC[/N,...]", multiple=True, help="A topic, or some partitions of it.")
@click.option("--all-topics", is_flag=True, help="Every partition that has an offset.")
@click.option("--to", metavar="POSITION", type=start_type, help="earliest, latest, an offset, or a TIME.")
@click.option(
    "--shift",
    metavar="N",
    type=click.IntRange(-OFFSET_MAX, OFFSET_MAX),
    help="Move by N records, back if negative; stops at the start or the end.",
)
@click.option("--from-file", metavar="FILE", type=click.File("rb"), help="Offsets that 'groups export' printed.")
@click.option("--execute", is_flag=True, help="Apply the change. Without this, it is only shown.")
@output.json_option
def reset_group(
    group: str,
    topics: Sequence[str],
    all_topics: bool,
    to: Start | None,
    shift: int | None,
    from_file: IO[bytes] | None,
    execute: bool,
    as_json: bool,
) -> None:
    """Move GROUP to other offsets, forward or back.

    Shows each offset before and after, and changes nothing without --execute. A running group is fenced: its members
    continue from the new offsets and can no longer commit what they had in hand. TIME is 2026-11-01T10:00 or
    '2 hours ago', and means the first record at or after it.

    \b
    Example:
      eventlog groups reset billing --topic orders --to '2 hours ago'
      eventlog groups reset billing --topic orders/0,3 --shift -10 --execute
    """
    with open_store() as log:
        found = log.group(group)
        offsets = _wanted(log, found, topics, all_topics, to, shift, from_file)
        plan = found.plan_reset(offsets)
        if execute:
            found.reset(offsets)
    if as_json:
        for change in plan:
            row = {"group": group, **change.partition._asdict()}
            output.write_json({**row, "before": change.before, "after": change.after, "executed": execute})
        return
    state = "reset" if execute else "dry run"
    output.write_table(_HEADERS, [(*change.partition, change.before, change.after, state) for change in plan])


def _wanted(
    log: EventLog,
    group: Group,
    topics: Sequence[str],
    all_topics: bool,
    to: Start | None,
    shift: int | None,
    from_file: IO[bytes] | None,
) -> dict[TopicPartition, int]:
    """The new offset of each partition. Raises click.UsageError unless the options say which partitions, and where to."""
    if (to is not None) + (shift is not None) + (from_file is not None) != 1:
        raise click.UsageError("say where to move, with exactly one of --to, --shift and --from-file")
    if from_file is not None:
        if topics or all_topics:
            raise click.UsageError("--topic and --all-topics cannot be combined with --from-file, which names the partitions")
        return read_offsets(from_file, group.name)
    if bool(topics) == all_topics:
        raise click.UsageError("say which partitions, with either --topic or --all-topics")
    committed = group.committed()
    partitions = list(committed) if all_topics else [each for text in topics for each in partitions_of(log, text)]
    target = shift if to is None else to
    assert target is not None
    return new_offsets(log, group, partitions, target)


def new_offsets(
    log: EventLog, group: Group, partitions: Sequence[TopicPartition], target: Start | int
) -> dict[TopicPartition, int]:
    """Where these partitions of a group are to be: at a position, or so many records further than now. Raises
    `InvalidArgumentError`."""
    if isinstance(target, Start):
        return {each: target.resolve(log.partition(*each)) for each in partitions}
    committed = group.committed()
    unknown = [each for each in partitions if each not in committed]
    if unknown:
        raise InvalidArgumentError(f"{unknown[0]} cannot be shifted: {group.name!r} has committed nothing there; use --to")
    return {each: _shifted(log, each, committed[each] + target) for each in partitions}


def _shifted(log: EventLog, topic_partition: TopicPartition, offset: int) -> int:
    partition = log.partition(*topic_partition)
    return max(partition.start_offset, min(offset, partition.end_offset))


def partitions_of(log: EventLog, text: str) -> list[TopicPartition]:
    """The partitions that TOPIC or TOPIC/N,... names. Raises click.UsageError."""
    topic, numbers = parse_named(text)
    return [TopicPartition(topic, number) for number in numbers or range(log.topic(topic).partitions)]


def read_offsets(file: IO[bytes], group: str) -> dict[TopicPartition, int]:
    """The offsets in a file of 'groups export'. Its lines may be another group's: so one group is moved to where another is."""
    offsets: dict[TopicPartition, int] = {}
    for number, line in enumerate(file, 1):
        if not line.strip():
            continue
        topic_partition, offset = _parse_line(line, f"{file.name}, line {number}")
        if topic_partition in offsets:
            raise InvalidArgumentError(f"{file.name}, line {number}: {topic_partition} occurs twice")
        offsets[topic_partition] = offset
    if not offsets:
        raise InvalidArgumentError(f"{file.name} contains no offsets: group {group!r} was not changed")
    return offsets


def _parse_line(line: bytes, where: str) -> tuple[TopicPartition, int]:
    try:
        fields: Any = json.loads(line)
        topic, partition, offset = fields["topic"], fields["partition"], fields["offset"]
    except (ValueError, KeyError, TypeError, RecursionError):
        topic = partition = offset = None
    if not isinstance(topic, str) or type(partition) is not int or type(offset) is not int:
        raise InvalidArgumentError(f'{where}: expected {{"topic": TOPIC, "partition": N, "offset": N}}')
    return TopicPartition(topic, partition), offset
