"""`eventlog groups`: who consumes, and how far they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from eventlog.cli import output
from eventlog.cli.command_group import CommandGroup
from eventlog.cli.groups_offsets import copy_group, delete_offsets, group_history, import_group, undo_reset
from eventlog.cli.groups_reset import reset_group
from eventlog.cli.store import execute_option, open_store
from eventlog.errors import GroupNotFoundError

if TYPE_CHECKING:
    from eventlog import Group, GroupDescription, GroupMember

_LIST_HEADERS = ("GROUP", "GENERATION", "MEMBERS", "PARTITIONS", "LAG")
_BRIDGE_FIELDS = (
    "url", "system", "state", "records", "bytes", "refused", "recognised", "reconnects", "in_flight", "last_error",
)  # fmt: skip
_PARTITION_HEADERS = ("TOPIC", "PART", "COMMITTED", "END", "LAG", "BYTES", "AGE", "CATCH UP", "MEMBER")


@click.group(cls=CommandGroup)
def groups() -> None:
    """List, describe, move, export and delete consumer groups.

    \b
    Example:
      eventlog groups list
      eventlog groups describe billing
    """


@groups.command("list")
@output.json_option
def list_groups(as_json: bool) -> None:
    """List the groups.

    MEMBERS counts live members, PARTITIONS those with a committed offset, and LAG the records after these offsets.

    \b
    Example:
      eventlog groups list
    """
    with open_store() as log:
        rows = [_group_object(description) for description in log.describe_groups()]
    if as_json:
        for row in rows:
            output.write_json(row)
    else:
        output.write_table(_LIST_HEADERS, [tuple(row.values()) for row in rows])


def _group_object(description: GroupDescription) -> dict[str, Any]:
    lags = [lag for lag in description.lag.values() if lag is not None]
    return {
        "group": description.name,
        "generation": _known(description.generation),
        "members": len(description.members),
        "partitions": len(lags),
        "lag": sum(lags) if lags else None,
    }


@groups.command("describe")
@click.argument("group", required=False)
@output.json_option
def describe_group(group: str | None, as_json: bool) -> None:
    """Show each partition of GROUP, or of all groups: how far it is, and which member owns it.

    COMMITTED is the offset from which the group continues, END the offset of the next record.
    LAG counts the records between them, BYTES is their size, AGE the age of the oldest one,
    and CATCH UP the time until the lag is gone at the rates of the last minute. "-" means
    unknown, or that no member owns the partition. A member without partitions has its own line.

    \b
    Example:
      eventlog groups describe billing
    """
    with open_store() as log:
        names = log.groups() if group is None else [group]
        for number, name in enumerate(names):
            try:
                found = log.group(name)
                description = found.describe()
                rows = _partition_objects(found, description.members)
            except GroupNotFoundError:
                if group is not None:
                    raise
                continue  # deleted meanwhile
            if number > 0 and not as_json:
                output.write_line("")
            _write_group(name, description, rows, as_json)


def _write_group(name: str, description: GroupDescription, rows: Sequence[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        heading = {"group": name, "generation": _known(description.generation), "assignor": description.assignor or None}
        for row in rows:
            output.write_json({**heading, **row})
        return
    output.write_line(f"group       {name}")
    output.write_line(f"generation  {output.cell_text(_known(description.generation))}")
    output.write_line(f"assignor    {description.assignor or '-'}")
    output.write_line("")
    output.write_table(_PARTITION_HEADERS, [_shown(row) for row in rows])


def _known(number: int) -> int | None:
    """A number that a cluster does not tell is -1."""
    return number if number >= 0 else None


def _shown(row: dict[str, Any]) -> tuple[object, ...]:
    return (
        row["topic"], row["partition"], row["committed"], row["end"], row["lag"], output.bytes_text(row["lag_bytes"]),
        output.seconds_text(row["lag_seconds"]), output.seconds_text(row["catch_up_seconds"]), _member_text(row),
    )  # fmt: skip


def _member_text(row: dict[str, Any]) -> str | None:
    """A member's id; for one of a remote client also how the client calls itself, and its host; for a bridge, how it does."""
    if row["bridge"] is not None:
        return f"{row['member']} ({_bridge_text(row['bridge'])})"
    return row["member"] if row["client"] is None else f"{row['member']} ({row['client']}, {row['host']})"


def _bridge_text(bridge: dict[str, Any]) -> str:
    counts = [f"{bridge[name]} {name.replace('_', ' ')}" for name in ("in_flight", "refused", "reconnects") if bridge[name]]
    error = [bridge["last_error"]] if bridge["last_error"] and bridge["state"] != "running" else []
    return ", ".join([f"ship {bridge['url']}", bridge["state"], *counts, *error])


def _partition_objects(group: Group, members: Sequence[GroupMember]) -> list[dict[str, Any]]:
    """One a partition, and one for each member that has none."""
    owners = {partition: member for member in members for partition in member.partitions}
    rows = [
        {
            "topic": partition.topic,
            "partition": partition.partition,
            "committed": each.committed,
            "end": each.end_offset,
            "lag": each.lag,
            "lag_bytes": each.lag_bytes,
            "lag_seconds": each.lag_seconds,
            "commit_rate": each.commit_rate,
            "append_rate": each.append_rate,
            "catch_up_seconds": each.catch_up_seconds,
            **_member_fields(owners.get(partition)),
        }
        for partition, each in group.progress().items()
    ]
    nothing = dict.fromkeys(
        ("topic", "partition", "committed", "end", "lag", "lag_bytes", "lag_seconds", "commit_rate", "append_rate",
         "catch_up_seconds")
    )  # fmt: skip
    return rows + [{**nothing, **_member_fields(member)} for member in members if not member.partitions]


def _member_fields(member: GroupMember | None) -> dict[str, Any]:
    return {
        "member": member.member_id if member is not None else None,
        "process": _known(member.process_id) if member is not None else None,
        "host": member.host if member is not None else None,
        "client": member.client_id if member is not None else None,
        "bridge": {name: member.bridge.get(name) for name in _BRIDGE_FIELDS} if member is not None and member.bridge else None,
    }


@groups.command("delete")
@click.argument("group")
@execute_option
@output.json_option
def delete_group(group: str, is_executed: bool, as_json: bool) -> None:
    """Delete GROUP with its committed offsets.

    Shows the offsets that would be lost; --execute deletes them. 'groups import' can restore them only from a file that
    'groups export' has written. Refused while the group has live members, or reserves partitions for absent static
    members.

    \b
    Example:
      eventlog groups export billing > offsets.jsonl
      eventlog groups delete billing --execute
    """
    with open_store() as log:
        found = log.group(group)
        committed, members = found.committed(), len(found.describe().members)
        if is_executed:
            found.delete()
    if as_json:
        offsets = [{**partition._asdict(), "offset": offset} for partition, offset in committed.items()]
        output.write_json({"group": group, "committed": offsets, "deleted": is_executed})
        return
    if committed:
        rows = [(*partition, offset) for partition, offset in committed.items()]
        output.write_table(("TOPIC", "PARTITION", "COMMITTED"), rows)
    output.write_line(f"{'deleted' if is_executed else 'would delete'} group {group}")
    if members and not is_executed:
        output.write_line(f"nothing was deleted: first let its members leave; {members} have not")
    elif not is_executed:
        output.write_line("nothing was deleted: use --execute to do it")


@groups.command("export")
@click.argument("group")
@output.json_option
def export_group(group: str, as_json: bool) -> None:
    """Print the committed offsets of GROUP, as 'groups reset --from-file' reads them.

    JSON Lines, with or without --json.

    \b
    Example:
      eventlog groups export billing > offsets.jsonl
    """
    with open_store() as log:
        committed = log.group(group).committed()
    for (topic, partition), offset in committed.items():
        output.write_json({"group": group, "topic": topic, "partition": partition, "offset": offset})


for _command in (reset_group, import_group, copy_group, delete_offsets, undo_reset, group_history):
    groups.add_command(_command)
