"""`eventlog groups import`, `copy`, `delete-offsets`, `undo` and `history`: offsets as a whole, and what became of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from eventlog.cli import output
from eventlog.cli.groups_reset import partitions_of, read_offsets
from eventlog.cli.store import execute_option, open_store
from eventlog.errors import GroupNotFoundError, InvalidArgumentError
from eventlog.records.record import TopicPartition

if TYPE_CHECKING:
    from eventlog import EventLog

_HEADERS = ("TOPIC", "PARTITION", "BEFORE", "AFTER", "STATE")
_HISTORY_HEADERS = ("TIME", "KIND", "TOPIC", "PARTITION", "BEFORE", "AFTER", "MEMBER", "PROCESS", "HOST")
_HISTORY_ENTRIES = 20


def _write_changes(
    group: str,
    before: Mapping[TopicPartition, int],
    after: Mapping[TopicPartition, int | None],
    is_executed: bool,
    as_json: bool,
) -> None:
    if as_json:
        for topic_partition, offset in sorted(after.items()):
            row = {"group": group, **topic_partition._asdict(), "before": before.get(topic_partition), "after": offset}
            output.write_json({**row, "executed": is_executed})
        return
    state = "done" if is_executed else "dry run"
    output.write_table(_HEADERS, [(*each, before.get(each), offset, state) for each, offset in sorted(after.items())])


@click.command("import")
@click.argument("group")
@click.argument("file")
@execute_option
@output.json_option
def import_group(group: str, file: str, is_executed: bool, as_json: bool) -> None:
    """Give GROUP the offsets in FILE, as printed by 'groups export'.

    Creates the group if it does not exist. Shows each offset before and after; --execute
    applies the change. A running group is fenced as by a reset. FILE may be - for standard input.

    \b
    Example:
      eventlog groups export billing > offsets.jsonl
      eventlog groups import audit offsets.jsonl --execute
    """
    with open_store() as log, click.open_file(file, "rb") as lines:
        _set_offsets(log, group, read_offsets(lines, group), is_executed, as_json)


@click.command("copy")
@click.argument("source", metavar="FROM")
@click.argument("target", metavar="TO")
@execute_option
@output.json_option
def copy_group(source: str, target: str, is_executed: bool, as_json: bool) -> None:
    """Give group TO the committed offsets of group FROM.

    Creates TO if it does not exist. Shows each offset before and after; --execute applies the
    change. A running group is fenced as by a reset.

    \b
    Example:
      eventlog groups copy billing billing-test --execute
    """
    with open_store() as log:
        committed = log.group(source).committed()
        if not committed:
            raise InvalidArgumentError(f"group {source!r} has committed nothing, so there is nothing to copy")
        _set_offsets(log, target, committed, is_executed, as_json)


def _set_offsets(log: EventLog, group: str, offsets: Mapping[TopicPartition, int], is_executed: bool, as_json: bool) -> None:
    try:
        before = log.group(group).committed()
    except GroupNotFoundError:
        before = {}
    log.check_offsets(offsets)
    if is_executed:
        log.create_group(group).reset(offsets)
    _write_changes(group, before, dict(offsets), is_executed, as_json)


@click.command("delete-offsets")
@click.argument("group")
@click.option(
    "-t", "--topic", "topics", metavar="TOPIC[/N,...]", multiple=True, required=True, help="A topic, or some partitions of it."
)
@execute_option
@output.json_option
def delete_offsets(group: str, topics: Sequence[str], is_executed: bool, as_json: bool) -> None:
    """Delete the offsets that GROUP has committed in a topic.

    Refused for partitions assigned to a live member. Shows what would be deleted; --execute
    deletes it.

    \b
    Example:
      eventlog groups delete-offsets billing --topic orders --execute
    """
    with open_store() as log:
        found = log.group(group)
        before = found.committed()
        partitions = [each for text in topics for each in partitions_of(log, text) if each in before]
        if is_executed and partitions:
            found.delete_offsets(partitions)
    _write_changes(group, before, dict.fromkeys(partitions), is_executed, as_json)


@click.command("undo")
@click.argument("group")
@execute_option
@output.json_option
def undo_reset(group: str, is_executed: bool, as_json: bool) -> None:
    """Restore the offsets that GROUP had before its last reset.

    An import, a copy and a deletion of offsets count as resets; a second undo undoes the first.
    Shows each offset before and after; --execute applies the change.

    \b
    Example:
      eventlog groups undo billing --execute
    """
    with open_store() as log:
        found = log.group(group)
        before = found.committed()
        after = found.undo_reset() if is_executed else found.plan_undo()
    _write_changes(group, before, after, is_executed, as_json)


@click.command("history")
@click.argument("group")
@click.option(
    "-n", "--max", "entries", type=click.IntRange(min=1), default=_HISTORY_ENTRIES, show_default=True, help="How many entries."
)
@output.json_option
def group_history(group: str, entries: int, as_json: bool) -> None:
    """Show how GROUP's offsets changed, and who changed them.

    Commits are recorded when they reach the disk, about once a second. MEMBER owned the
    partition; PROCESS and HOST stored the change. The newest are last.

    \b
    Example:
      eventlog groups history billing --max 100
    """
    with open_store() as log:
        found = log.group(group).history(entries)
    rows: Iterable[dict[str, Any]] = (
        {
            "group": group, "timestamp": entry.at_ms, "kind": entry.kind, **change.partition._asdict(),
            "before": change.before, "after": change.after, "member": change.member_id,
            "process": entry.process_id, "host": entry.host,
        }
        for entry in found
        for change in entry.changes
    )  # fmt: skip
    if as_json:
        for row in rows:
            output.write_json(row)
        return
    shown = ({**row, "timestamp": output.time_text(row["timestamp"])} for row in rows)
    output.write_table(_HISTORY_HEADERS, [tuple(row.values())[1:] for row in shown])
