"""`eventlog top`: what goes on in a store, on a screen that is renewed, or as one look at it."""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import TYPE_CHECKING, Any, NoReturn

import click

from eventlog.cli import output
from eventlog.cli.parsing import Seconds
from eventlog.cli.store import open_store

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table

    from eventlog import Activity, ApiActivity, EventLog, GroupActivity, ServerActivity, TopicActivity

_TOPIC_HEADERS = ("TOPIC", "PARTITIONS", "RECORDS", "SIZE", "RECORDS/S", "BYTES/S")
_GROUP_HEADERS = ("GROUP", "MEMBERS", "LAG", "RECORDS/S", "CATCH UP")
_SERVER_HEADERS = ("SERVER", "CONNECTIONS", "REQUESTS/S", "IN/S", "OUT/S", "ERRORS/S", "THROTTLED", "REFUSED")
_API_HEADERS = ("REQUEST", "SERVER", "REQUESTS/S", "IN/S", "OUT/S", "MEDIAN", "P99")
_RESIZE_CHECK_SECONDS = 0.2
_FRAME_LINES = 6  # a title, a footer, two headers, two empty lines
_SERVER_FRAME_LINES = 4  # the same of the servers and their requests
_SERVERS_HEIGHT_MIN = 20  # a lower screen shows topics and groups only
_NO_SCREEN = ("", "dumb", "unknown")  # terminals that cannot move their cursor
_ENDING_SIGNALS = (signal.SIGTERM, signal.SIGHUP)


@click.command()
@click.option(
    "--interval",
    "seconds",
    metavar="SECONDS",
    type=Seconds(min=0.1, max=3600),
    default=2.0,
    show_default=True,
    help="Time between two snapshots.",
)
@click.option("--once", is_flag=True, help="Print one snapshot as text, with its rates, and exit.")
@output.json_option
def top(seconds: float, once: bool, as_json: bool) -> None:
    """Show the activity of topics and groups until q or Ctrl-C.

    Topics are sorted by bytes a second, groups by lag. CATCH UP is how long a group needs until it has no lag, if the
    lag keeps shrinking at this rate. If the output is not a terminal, it prints one snapshot, as with --once; --json
    prints one object for each snapshot.

    \b
    Example:
      eventlog top
      eventlog top --once --interval 5
      eventlog top --json | jq '.groups[] | select(.lag > 1000)'
    """
    with open_store() as log:
        if as_json:
            _print_objects(log, seconds, once)
        elif once or not output.is_terminal() or os.environ.get("TERM", "dumb") in _NO_SCREEN:
            earlier = log.activity()
            output.wait_while_read(seconds)
            _print(log.activity(earlier))
        else:
            _run_screen(log, seconds)


def _by_bytes(topic: TopicActivity) -> tuple[float, float, str]:
    return -(topic.bytes_per_second or 0), -(topic.records_per_second or 0), topic.name


def _by_lag(group: GroupActivity) -> tuple[int, str]:
    return -(group.lag or 0), group.name


def _print_objects(log: EventLog, seconds: float, once: bool) -> None:
    """Print a snapshot at each interval, as JSON; the first one comes after the first interval, so that all have rates."""
    earlier = log.activity()
    while True:
        output.wait_while_read(seconds)
        activity = log.activity(earlier)
        output.write_json(_activity_object(activity))
        output.flush()
        if once:
            return
        earlier = activity


def _activity_object(activity: Activity) -> dict[str, Any]:
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
            for topic in sorted(activity.topics, key=_by_bytes)
        ],
        "groups": [
            {
                "group": group.name,
                "members": group.members,
                "lag": group.lag,
                "records_per_second": group.records_per_second,
                "seconds_to_catch_up": group.seconds_to_catch_up,
            }
            for group in sorted(activity.groups, key=_by_lag)
        ],
        "servers": [_server_object(server) for server in activity.servers],
    }


def _server_object(server: ServerActivity) -> dict[str, Any]:
    values = {name: value for name, value in server._asdict().items() if name not in ("number", "apis")}
    return {"server": server.number, **values, "apis": [_api_object(api) for api in server.apis]}


def _api_object(api: ApiActivity) -> dict[str, Any]:
    return {"api": api.name, **{name: value for name, value in api._asdict().items() if name != "name"}}


def _print(activity: Activity) -> None:
    output.write_table(_TOPIC_HEADERS, _topic_rows(activity))
    output.write_line("")
    output.write_table(_GROUP_HEADERS, _group_rows(activity))
    if activity.servers:
        output.write_line("")
        output.write_table(_SERVER_HEADERS, _server_rows(activity))
        output.write_line("")
        output.write_table(_API_HEADERS, _api_rows(activity))


def _topic_rows(activity: Activity) -> list[tuple[object, ...]]:
    return [
        (
            topic.name,
            topic.partitions,
            output.count_text(topic.records),
            output.bytes_text(topic.size_bytes),
            output.count_text(topic.records_per_second),
            output.bytes_text(topic.bytes_per_second),
        )
        for topic in sorted(activity.topics, key=_by_bytes)
    ]


def _group_rows(activity: Activity) -> list[tuple[object, ...]]:
    return [
        (
            group.name,
            group.members,
            output.count_text(group.lag),
            output.count_text(group.records_per_second),
            output.seconds_text(group.seconds_to_catch_up),
        )
        for group in sorted(activity.groups, key=_by_lag)
    ]


def _server_rows(activity: Activity) -> list[tuple[object, ...]]:
    return [
        (
            f"{server.number} (process {server.process_id})",
            server.connections,
            output.count_text(server.requests_per_second),
            output.bytes_text(server.bytes_in_per_second),
            output.bytes_text(server.bytes_out_per_second),
            output.count_text(server.errors_per_second),
            output.count_text(server.throttled),
            output.count_text(server.refused),
        )
        for server in activity.servers
    ]


def _api_rows(activity: Activity) -> list[tuple[object, ...]]:
    """The requests that the servers get, the most frequent ones first."""
    found = [(server.number, api) for server in activity.servers for api in server.apis]
    found.sort(key=lambda each: (-(each[1].requests_per_second or 0), -each[1].requests, each[0], each[1].name))
    return [
        (
            api.name,
            number,
            output.count_text(api.requests_per_second),
            output.bytes_text(api.bytes_in_per_second),
            output.bytes_text(api.bytes_out_per_second),
            _latency_text(api.median_seconds),
            _latency_text(api.slow_seconds),
        )
        for number, api in found
    ]


def _latency_text(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    return f"{1e6 * seconds:.0f} us" if seconds < 1e-3 else f"{1e3 * seconds:.0f} ms" if seconds < 1 else f"{seconds:.0f} s"


# --- the screen ------------------------------------------------------------------------------------------------


class _Ended(BaseException):
    """A signal that ends the program came; the screen is put back first."""


def _run_screen(log: EventLog, seconds: float) -> None:
    from rich.console import Console
    from rich.live import Live

    console = Console(markup=False, highlight=False, emoji=False)
    with _terminal() as keys, Live(console=console, screen=True, auto_refresh=False) as live:
        earlier: Activity | None = None
        while True:
            activity = log.activity(earlier)
            if _show_until(live, console, activity, keys, time.monotonic() + seconds):
                return
            earlier = activity


def _show_until(live: Any, console: Console, activity: Activity, keys: int | None, deadline: float) -> bool:
    """Show a snapshot until its time is over; return True if a key ended the program."""
    shown: tuple[int, int] | None = None
    while (left := deadline - time.monotonic()) > 0:
        if (size := (console.width, console.height)) != shown:
            live.update(_screen(activity, *size), refresh=True)
            shown = size
        left = min(left, _RESIZE_CHECK_SECONDS)
        if keys is None:
            time.sleep(left)
        elif select.select([keys], [], [], left)[0]:
            key = os.read(keys, 1)
            if key in (b"q", b"Q", b""):
                return True
    return False


def _screen(activity: Activity, width: int, height: int) -> RenderableType:
    """All that fits: a title, topics, groups, and what the keys do."""
    from rich.console import Group
    from rich.text import Text

    topics, groups = _topic_rows(activity), _group_rows(activity)
    servers = _server_tables(activity, height) if activity.servers and height >= _SERVERS_HEIGHT_MIN else []
    height -= sum(_SERVER_FRAME_LINES // 2 + min(len(rows), lines) for _, rows, lines in servers)
    topic_lines, group_lines = _share(max(2, height - _FRAME_LINES), len(topics), len(groups))
    title = f"eventlog top  {output.time_text(activity.time_ms)}  {len(topics)} topics  {len(groups)} groups"
    server_tables: Iterator[RenderableType] = chain.from_iterable(("", _table(*table)) for table in servers)
    return Group(
        Text(title, style="bold", no_wrap=True, overflow="ellipsis"),
        "",
        _table(_TOPIC_HEADERS, topics, topic_lines),
        "",
        _table(_GROUP_HEADERS, groups, group_lines),
        *server_tables,
        Text("q quits", style="dim", no_wrap=True),
    )


def _server_tables(activity: Activity, height: int) -> list[tuple[Sequence[str], list[tuple[object, ...]], int]]:
    """The servers and their requests, each with the lines that it gets: together half of the screen at most."""
    lines = height // 2 - _SERVER_FRAME_LINES
    return [
        (_SERVER_HEADERS, _server_rows(activity), lines // 3),
        (_API_HEADERS, _api_rows(activity), lines - lines // 3),
    ]


def _share(lines: int, topics: int, groups: int) -> tuple[int, int]:
    """How many lines topics and groups get: half each, and what one does not need is the other's."""
    half = lines // 2
    for_topics = min(topics, max(half, lines - groups))
    return for_topics, min(groups, lines - for_topics)


def _table(headers: Sequence[str], rows: Sequence[Sequence[object]], lines: int) -> Table:
    """The first rows, names cut to what is left of the width; the last line says how many are not shown."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold", expand=True)
    table.add_column(headers[0], ratio=1, no_wrap=True, overflow="ellipsis")
    for header in headers[1:]:
        table.add_column(header, justify="right", no_wrap=True)
    shown = rows if len(rows) <= lines else rows[: max(0, lines - 1)]
    for row in shown:
        table.add_row(*map(output.cell_text, row))
    if len(shown) < len(rows):
        table.add_row(f"and {len(rows) - len(shown)} more", style="dim")
    return table


@contextmanager
def _terminal() -> Iterator[int | None]:
    """Let keys come one by one and unseen; yield their descriptor, None where there is no keyboard.

    Whatever ends the program, also SIGTERM and SIGHUP, the terminal is as before."""

    def end(number: int, frame: object) -> NoReturn:
        for each in _ENDING_SIGNALS:  # a second one must not come between what is put back
            signal.signal(each, signal.SIG_IGN)
        raise _Ended(number)

    handlers = {number: signal.signal(number, end) for number in _ENDING_SIGNALS}
    try:
        with _keys() as keys:
            yield keys
    except _Ended as ended:
        sys.stdout.flush()
        signal.signal(ended.args[0], signal.SIG_DFL)
        signal.raise_signal(ended.args[0])
        raise KeyboardInterrupt from None  # process 1 of a container does not die of that
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


@contextmanager
def _keys() -> Iterator[int | None]:
    import termios
    import tty

    if not os.isatty(0):
        yield None
        return
    before = termios.tcgetattr(0)
    try:
        tty.setcbreak(0)
        yield 0
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, before)
