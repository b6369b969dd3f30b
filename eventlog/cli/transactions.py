"""`eventlog transactions`: which producers have a transaction open, and what keeps readers waiting."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from eventlog.cli import output
from eventlog.cli.command_group import CommandGroup
from eventlog.cli.store import execute_option, open_store
from eventlog.errors import InvalidArgumentError

if TYPE_CHECKING:
    from eventlog import TransactionDescription

_HEADERS = ("TRANSACTIONAL ID", "PRODUCER", "EPOCH", "STATE", "OPEN SINCE", "PARTITIONS")


@click.group(cls=CommandGroup)
def transactions() -> None:
    """List, describe and abort the transactions of producers.

    \b
    Example:
      eventlog transactions list
      eventlog transactions describe payments
    """


@transactions.command("list")
@click.option("--open", "is_open", is_flag=True, help="Only those with an open transaction.")
@output.json_option
def list_transactions(is_open: bool, as_json: bool) -> None:
    """List the transactional producers, with the state of their transaction.

    \b
    Example:
      eventlog transactions list --open
    """
    with open_store() as log:
        found = [each for each in log.transactions() if each.is_open or not is_open]
    if as_json:
        for each in found:
            output.write_json(_object(each))
    else:
        output.write_table(_HEADERS, [_row(each) for each in found])


def _row(found: TransactionDescription) -> tuple[object, ...]:
    since = None if found.started_ms is None else output.time_text(found.started_ms)
    return found.transactional_id, found.producer_id, found.epoch, found.state, since, len(found.partitions)


def _object(found: TransactionDescription) -> dict[str, Any]:
    return {
        "transactional_id": found.transactional_id,
        "state": found.state,
        "producer_id": found.producer_id,
        "epoch": found.epoch,
        "timeout_ms": found.timeout_ms,
        "started": found.started_ms,
        "updated": found.updated_ms,
        "partitions": [list(partition) for partition in found.partitions],
        "groups": list(found.groups),
    }


@transactions.command("describe")
@click.argument("transactional_id")
@output.json_option
def describe_transaction(transactional_id: str, as_json: bool) -> None:
    """Show one transactional producer: its state, and the partitions and groups of its transaction.

    \b
    Example:
      eventlog transactions describe payments
    """
    with open_store() as log:
        found = _found(log.transactions(), transactional_id)
    if as_json:
        output.write_json(_object(found))
        return
    for name, value in _object(found).items():
        if name == "partitions":
            value = " ".join(map(str, found.partitions))
        elif name == "groups":
            value = " ".join(found.groups)
        elif name in ("started", "updated") and value is not None:
            value = output.time_text(value)
        output.write_line(f"{name:<17} {'-' if value in (None, '') else value}")


def _found(all_of_them: list[TransactionDescription], transactional_id: str) -> TransactionDescription:
    for each in all_of_them:
        if each.transactional_id == transactional_id:
            return each
    raise InvalidArgumentError(f"there is no transactional id {transactional_id!r}: 'eventlog transactions list' shows all")


@transactions.command("abort")
@click.argument("transactional_id")
@execute_option
@output.json_option
def abort_transaction(transactional_id: str, is_executed: bool, as_json: bool) -> None:
    """Abort the open transaction of a producer, which can then only begin anew.

    One of which it is decided how it ends is completed that way. Without --execute, it only
    says what would be done.

    \b
    Example:
      eventlog transactions abort payments --execute
    """
    with open_store() as log:
        found = _found(log.transactions(), transactional_id)
        if found.is_open and is_executed:
            log.abort_transaction(transactional_id)
    if as_json:
        output.write_json({**_object(found), "is_dry_run": not is_executed})
    elif not found.is_open:
        output.write_line(f"{transactional_id}: no transaction is open")
    else:
        done = "aborted" if is_executed else "would abort"
        output.write_line(f"{transactional_id}: {done} a transaction in {len(found.partitions)} partitions")
