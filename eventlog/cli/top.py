"""`eventlog top`: the activity in a store, on a screen that is renewed, or as snapshots in text or JSON."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click

from eventlog.cli import output
from eventlog.cli.parsing import interval_option
from eventlog.cli.screens import activity as rows
from eventlog.cli.store import open_store

if TYPE_CHECKING:
    from eventlog import Activity, ApiActivity, EventLog, ServerActivity

_NO_SCREEN = ("", "dumb", "unknown")  # terminals that cannot move their cursor


@click.command()
@interval_option
@click.option(
    "--sort",
    "order",
    type=click.Choice(list(rows.ORDERS)),
    default="activity",
    show_default=True,
    help="What comes first; on the screen, the keys a, n, r and s change it.",
)
@click.option("--once", is_flag=True, help="Print one snapshot as text, with its rates, and exit.")
@output.json_option
def top(seconds: float, order: str, once: bool, as_json: bool) -> None:
    """Show the activity of topics and groups until q or Ctrl-C.

    Sorted by activity, topics with the most bytes a second and groups with the most lag come first. CATCH UP is how
    long a group needs until it has no lag, if the lag keeps shrinking at this rate. A wide screen also shows how rates
    and lag were before. If the output is not a terminal, it prints one snapshot, as with --once; --json prints one
    object for each snapshot.

    \b
    Example:
      eventlog top
      eventlog top --sort name
      eventlog top --once --interval 5
      eventlog top --json | jq '.groups[] | select(.lag > 1000)'
    """
    sorting = rows.Order(order)
    with open_store() as log:
        if as_json:
            _print_objects(log, seconds, once, sorting)
        elif once or not output.is_terminal() or os.environ.get("TERM", "dumb") in _NO_SCREEN:
            earlier = log.activity()
            output.wait_while_read(seconds)
            _print(log.activity(earlier), sorting)
        else:
            from eventlog.cli.screens.top_screen import run_screen

            run_screen(log, seconds, sorting)


def _print_objects(log: EventLog, seconds: float, once: bool, order: rows.Order) -> None:
    """Print a snapshot at each interval, as JSON; the first one comes after the first interval, so that all have rates."""
    earlier = log.activity()
    while True:
        output.wait_while_read(seconds)
        activity = log.activity(earlier)
        output.write_json(_activity_object(activity, order))
        output.flush()
        if once:
            return
        earlier = activity


def _activity_object(activity: Activity, order: rows.Order) -> dict[str, Any]:
    return {
        "timestamp": activity.time_ms,
        "topics": [
            {
                "topic": topic.name,
                "partitions": topic.partitions,
                "records": topic.records,
                "size_bytes": topic.size_bytes,
                "records_per_second": topic.records_per_second,
                "bytes_per_second": topic.bytes_per_second,
            }
            for topic in order.topics(activity)
        ],
        "groups": [
            {
                "group": group.name,
                "members": group.members,
                "lag": group.lag,
                "records_per_second": group.records_per_second,
                "seconds_to_catch_up": group.seconds_to_catch_up,
            }
            for group in order.groups(activity)
        ],
        "servers": [_server_object(server) for server in activity.servers],
    }


def _server_object(server: ServerActivity) -> dict[str, Any]:
    values = {name: value for name, value in server._asdict().items() if name not in ("number", "apis")}
    return {"server": server.number, **values, "apis": [_api_object(api) for api in server.apis]}


def _api_object(api: ApiActivity) -> dict[str, Any]:
    return {"api": api.name, **{name: value for name, value in api._asdict().items() if name != "name"}}


def _print(activity: Activity, order: rows.Order) -> None:
    output.write_table(rows.TOPIC_HEADERS, map(rows.topic_row, order.topics(activity)))
    output.write_line("")
    output.write_table(rows.GROUP_HEADERS, map(rows.group_row, order.groups(activity)))
    if activity.servers:
        output.write_line("")
        output.write_table(rows.SERVER_HEADERS, rows.server_rows(activity))
        output.write_line("")
        output.write_table(rows.API_HEADERS, rows.api_rows(activity))
