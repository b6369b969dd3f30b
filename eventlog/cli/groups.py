"""`eventlog groups`: who consumes, and how far they are."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import click

from eventlog.cli import output
from eventlog.cli.store import open_store
from eventlog.errors import GroupNotFoundError

if TYPE_CHECKING:
    from eventlog import EventLog, Group, GroupMember

_LIST_HEADERS = ("GROUP", "GENERATION", "MEMBERS", "PARTITIONS", "LAG")
_PARTITION_HEADERS = ("TOPIC", "PARTITION", "COMMITTED", "END", "LAG", "MEMBER", "PROCESS", "HOST")


@click.group(no_args_is_help=False)
def groups() -> None:
    """List and describe consumer groups.

    \b
    Example:
      eventlog groups list
      eventlog groups describe billing
    """


@groups.command("list")
@output.json_option
def list_groups(as_json: bool) -> None:
    """List the groups.

    MEMBERS are those alive, PARTITIONS those with a committed offset, and LAG is how many records stand behind these.

    \b
    Example:
      eventlog groups list
    """
    rows = []
    with open_store() as log:
        for name in log.groups():
            with suppress(GroupNotFoundError):  # deleted meanwhile
                rows.append(_group_object(log.group(name)))
    if as_json:
        for row in rows:
            output.write_json(row)
    else:
        output.write_table(_LIST_HEADERS, [tuple(row.values()) for row in rows])


def _group_object(group: Group) -> dict[str, Any]:
    description = group.describe()
    lags = [lag for lag in group.lag().values() if lag is not None]
    return {
        "group": group.name,
        "generation": description.generation,
        "members": len(description.members),
        "partitions": len(lags),
        "lag": sum(lags) if lags else None,
    }


@groups.command("describe")
@click.argument("group")
@output.json_option
def describe_group(group: str, as_json: bool) -> None:
    """Show the partitions of GROUP: how far each is, and which member has it.

    COMMITTED is the offset that the group goes on from, END the one that the next record gets. "-" where nothing was
    committed yet, or no member has the partition. A member without partitions has a line of its own.

    \b
    Example:
      eventlog groups describe billing
    """
    with open_store() as log:
        found = log.group(group)
        description = found.describe()
        rows = _partition_objects(log, found, description.members)
    if as_json:
        heading = {"group": group, "generation": description.generation, "assignor": description.assignor or None}
        for row in rows:
            output.write_json({**heading, **row})
        return
    output.write_line(f"group       {group}")
    output.write_line(f"generation  {description.generation}")
    output.write_line(f"assignor    {description.assignor or '-'}")
    output.write_line("")
    output.write_table(_PARTITION_HEADERS, [tuple(row.values()) for row in rows])


def _partition_objects(log: EventLog, group: Group, members: Sequence[GroupMember]) -> list[dict[str, Any]]:
    """One a partition, and one for each member that has none."""
    owners = {partition: member for member in members for partition in member.partitions}
    committed = group.committed()
    rows = []
    for partition in sorted(owners.keys() | group.lag().keys()):
        offset, end = committed.get(partition), log.partition(*partition).end_offset
        start = log.partition(*partition).start_offset
        rows.append(
            {
                "topic": partition.topic,
                "partition": partition.partition,
                "committed": offset,
                "end": end,
                # Not that of Group.lag, which was taken at another moment: the numbers of a line fit together.
                "lag": None if offset is None else max(0, end - max(offset, start)),
                **_member_fields(owners.get(partition)),
            }
        )
    nothing = dict.fromkeys(("topic", "partition", "committed", "end", "lag"))
    return rows + [{**nothing, **_member_fields(member)} for member in members if not member.partitions]


def _member_fields(member: GroupMember | None) -> dict[str, Any]:
    return {
        "member": member.member_id if member is not None else None,
        "process": member.process_id if member is not None else None,
        "host": member.host if member is not None else None,
    }
