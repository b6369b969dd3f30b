"""`eventlog repair`: what is right of a damaged partition stays."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click

from eventlog.cli import output
from eventlog.cli.spelling import parse_one
from eventlog.cli.store import open_store

if TYPE_CHECKING:
    from eventlog import RepairPlan


@click.command()
@click.argument("partition", metavar="TOPIC/PARTITION")
@click.option("--execute", is_flag=True, help="Repair it. Without this, it is only shown what would be done.")
@output.json_option
def repair(partition: str, execute: bool, as_json: bool) -> None:
    """Show what repairing a partition would drop, or repair it.

    Valid batches stay, with their offsets; the other bytes are moved to the store's directory 'removed'. The partition
    must not be open in any other process.

    \b
    Example:
      eventlog repair orders/0
      eventlog repair orders/0 --execute
    """
    topic, number = parse_one(partition)
    with open_store() as log:
        plan = log.repair(topic, number, execute=execute)
    if as_json:
        output.write_json(_plan_object(plan))
    else:
        _write_plan(plan)


def _plan_object(plan: RepairPlan) -> dict[str, Any]:
    return {
        "topic": plan.topic,
        "partition": plan.partition,
        "executed": plan.was_executed,
        "interrupted": plan.was_interrupted,
        "removals": [
            {
                "path": os.fspath(removal.path),
                "position": removal.position,
                "bytes": removal.size_bytes,
                "reason": removal.reason,
                "kept_at": os.fspath(removal.kept_at) if removal.kept_at is not None else None,
            }
            for removal in plan.removals
        ],
        "lost": [{"first_offset": lost.start, "last_offset": lost.stop - 1} for lost in plan.lost],
        "indexes": [os.fspath(path) for path in plan.indexes],
        "epochs": plan.epochs,
        "start_offset": plan.start_offset,
        "end_offset": plan.end_offset,
    }


def _write_plan(plan: RepairPlan) -> None:
    name = f"{plan.topic}/{plan.partition}"
    if not plan.is_needed:
        output.write_line(f"{name} needs no repair")
        return
    done = plan.was_executed
    if plan.was_interrupted:
        _line(f"{name}: an earlier repair was interrupted; this one {'has finished' if done else 'would finish'} it")
    for removal in plan.removals:
        verb = "dropped" if done else "would drop"
        last = removal.position + removal.size_bytes - 1
        _line(f"{verb} bytes {removal.position} to {last} of {removal.path}:")
        _line(f"  {removal.reason}")
        if removal.kept_at is not None:
            _line(f"  they are kept in {removal.kept_at}")
    for lost in plan.lost:
        span = f"offset {lost.start} has" if len(lost) == 1 else f"offsets {lost.start} to {lost.stop - 1} have"
        _line(f"{span} no record any more")
    for path in plan.indexes:
        _line(f"{'rebuilt' if done else 'would rebuild'} {path}")
    if plan.epochs:
        _line(f"{'rebuilt' if done else 'would rebuild'} the leader epochs")
    _line(f"{name} {'starts' if done else 'would start'} at offset {plan.start_offset}; the next record gets {plan.end_offset}")
    if not done:
        _line(f"nothing was changed: use 'eventlog repair {name} --execute' to do it")


def _line(text: str) -> None:
    output.write_line(output.printable(text))
