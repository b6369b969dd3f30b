"""`eventlog mirror`: topics with their settings, records and groups, from a Kafka cluster or to one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from eventlog.cli import output
from eventlog.cli.bridging import (
    SECONDS_MAX,
    SHOWN_SECONDS,
    check_without_secret,
    give_up_option,
    password_option,
    read_password,
    stopped_by_signals,
)
from eventlog.cli.parsing import Seconds
from eventlog.cli.store import open_store

if TYPE_CHECKING:
    from eventlog.bridges.kafka.mirror.differences import Difference
    from eventlog.bridges.kafka.mirror.mirror import Mirror

_HEADERS = ("WHAT", "TOPIC", "PARTITION", "NAME", "BEFORE", "AFTER")


@click.command()
@click.argument("url", required=False)
@click.option("--to", "to", metavar="URL", help="The cluster to copy to, instead of one to copy from.")
@click.option("--topics", metavar="PATTERN", multiple=True, required=True, help="Which topics, as in 'orders.*'. Repeatable.")
@click.option(
    "--groups", metavar="PATTERN", multiple=True, default=("*",), show_default=True, help="Which groups. Repeatable."
)
@click.option("--once", is_flag=True, help="End once everything is copied that was there.")
@click.option("--dry-run", is_flag=True, help="Show what differs; change nothing.")
@click.option(
    "--every", "seconds", type=Seconds(0.01, SECONDS_MAX), default=1.0, show_default=True, metavar="SECONDS",
    help="How long to wait between two rounds.",
)  # fmt: skip
@give_up_option
@password_option
@output.json_option
def mirror(
    url: str | None, to: str | None, topics: Sequence[str], groups: Sequence[str], once: bool, dry_run: bool, seconds: float,
    give_up_after: float | None, password_file: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Copy topics with their groups from a Kafka cluster, or to one.

    Goes on until Ctrl-C. Copies the topics that match, with their settings, partitions and records, each record
    exactly once, and the committed offsets of groups that have no members at the target: they
    are translated where the offsets differ, and only ever move forward. Shows what was done;
    --dry-run shows what would be done. Needs confluent-kafka: the extra eventlog[kafka].

    The password of a user is read from --password-file or EVENTLOG_BRIDGE_PASSWORD.

    \b
    Example:
      eventlog mirror kafka://localhost:9092 --topics 'orders.*'
      eventlog mirror --to kafka://localhost:9092 --topics '*' --once
      eventlog mirror kafka://localhost:9092 --topics '*' --dry-run
    """
    if (url is None) == (to is None):
        raise click.UsageError("name one cluster: the URL to copy from, or --to URL")
    check_without_secret(url or to or "")

    def show(difference: Difference) -> None:
        if as_json:
            output.write_json(difference._asdict())
        else:
            output.write_line(_sentence(difference))
        output.flush()

    with open_store() as log:
        mirrored = log.mirror(
            topics, url, to=to, groups=groups, every=seconds, password=read_password(password_file),
            give_up_after=give_up_after, on_difference=show,
        )  # fmt: skip
        if dry_run:
            _show_differences(mirrored.differences(), as_json)
        else:
            _run(mirrored, once)


def _show_differences(found: Sequence[Difference], as_json: bool) -> None:
    if as_json:
        for difference in found:
            output.write_json(difference._asdict())
    else:
        output.write_table(_HEADERS, found)


def _run(mirrored: Mirror, once: bool) -> None:
    told = 0
    with stopped_by_signals(mirrored):
        mirrored.start(once=once)
        while mirrored.is_alive:
            mirrored.join(SHOWN_SECONDS)
            progress = mirrored.progress()
            if progress.reconnects > told:
                told = progress.reconnects
                click.echo(f"eventlog: {progress.last_error}", err=True)
        mirrored.join()


def _sentence(difference: Difference) -> str:
    """What was done, in a line."""
    kind, topic, partition, name, before, after = difference
    where = topic if partition is None else f"{topic}/{partition}"
    if kind == "records":
        return f"{where}: {after} records"
    if kind == "left out":
        return f"{where}: {name} left out: {after}"
    if kind == "topic":
        return f"{where}: created with {after} partitions"
    what = f"group {name}" if kind == "group" else name or kind
    return f"{where}: {what} from {'nothing' if before is None else before} to {after}"
