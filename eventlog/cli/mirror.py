"""`eventlog mirror`: topics with their settings, records and groups, from a Kafka cluster or to one."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from eventlog.bridges.url import Url
from eventlog.cli import output
from eventlog.cli.bridging import SECONDS_MAX, check_without_secret, give_up_option, password_option, read_password
from eventlog.cli.parsing import Seconds
from eventlog.cli.store import open_store
from eventlog.errors import BridgeError

if TYPE_CHECKING:
    from eventlog import EventLog
    from eventlog.bridges.kafka.mirror.differences import Difference
    from eventlog.bridges.kafka.mirror.running import Mirror

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
    password = read_password(password_file)
    with open_store() as log:
        parsed = Url(url or to or "", password)
        mirrored = _mirror(log, parsed, topics, groups, is_inbound=to is None)
        if dry_run:
            _show_differences(mirrored, as_json)
        else:
            _run(mirrored, once, seconds, give_up_after, as_json)


def _mirror(log: EventLog, url: Url, topics: Sequence[str], groups: Sequence[str], *, is_inbound: bool) -> Mirror:
    import eventlog

    if url.scheme != "kafka":
        raise click.UsageError(f"a mirror needs a URL like kafka://localhost:9092, not {url}")
    try:
        from eventlog.bridges.kafka.cluster import Cluster
        from eventlog.bridges.kafka.mirror.differences import Selection
        from eventlog.bridges.kafka.mirror.inbound import InboundMirror
        from eventlog.bridges.kafka.mirror.outbound import OutboundMirror
    except ModuleNotFoundError as error:
        raise BridgeError(f"a mirror needs the module {error.name!r}: pip install 'eventlog[kafka]'") from error
    cluster = Cluster(url)
    if cluster.topic:
        raise click.UsageError(f"name topics with --topics, not in the URL {url}")
    selection = Selection(topics, groups)
    if is_inbound:
        return InboundMirror(log, log.open_groups, cluster, selection, eventlog.open)
    return OutboundMirror(log, log.open_groups, log.consumer, cluster, selection, eventlog.open)


def _show_differences(mirror: Mirror, as_json: bool) -> None:
    try:
        found = list(mirror.round(execute=False, may_go_on=lambda: True))
    finally:
        mirror.close()
    if as_json:
        for difference in found:
            output.write_json(difference._asdict())
    else:
        output.write_table(_HEADERS, found)


def _run(mirror: Mirror, once: bool, seconds: float, give_up_after: float | None, as_json: bool) -> None:
    from eventlog.bridges.kafka.mirror.running import MirrorRun

    def show(difference: Difference) -> None:
        if as_json:
            output.write_json(difference._asdict())
        else:
            output.write_line(_sentence(difference))
        output.flush()

    run = MirrorRun(mirror, show, lambda error: click.echo(f"eventlog: {error}", err=True))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: run.stop())
    run.run(interval=seconds, once=once, give_up_after=give_up_after)


def _sentence(difference: Difference) -> str:
    """What was done, in a line."""
    kind, topic, partition, name, before, after = difference
    where = topic if partition is None else f"{topic}-{partition}"
    if kind == "records":
        return f"{where}: {after} records"
    if kind == "left out":
        return f"{where}: {name} left out: {after}"
    if kind == "topic":
        return f"{where}: created with {after} partitions"
    what = f"group {name}" if kind == "group" else name or kind
    return f"{where}: {what} from {'nothing' if before is None else before} to {after}"
