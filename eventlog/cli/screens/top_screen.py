"""The screen of `eventlog top`."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from rich.cells import cell_len
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from eventlog.cli import output
from eventlog.cli.screens.activity import (
    API_HEADERS,
    GROUP_HEADERS,
    SERVER_HEADERS,
    TOPIC_HEADERS,
    Order,
    api_rows,
    group_row,
    lag_colour,
    server_rows,
    topic_row,
)
from eventlog.cli.screens.history import POINTS_MAX, History, Snapshot, sparkline
from eventlog.cli.screens.terminal import keyboard

if TYPE_CHECKING:
    from rich.console import RenderableType

    from eventlog import Activity, EventLog

_RESIZE_CHECK_SECONDS = 0.2
_FRAME_LINES = 6  # a title, a footer, two headers, two empty lines
_SERVER_FRAME_LINES = 4  # the same of the servers and their requests
_SERVERS_HEIGHT_MIN = 20  # a lower screen shows topics and groups only
_GAP = 2  # between two columns
_NAME_WIDTH_MIN, _HISTORY_WIDTH_MIN = 16, 12
_LAG_COLUMN = GROUP_HEADERS.index("LAG")
_ORDER_KEYS = {b"a": "activity", b"n": "name", b"r": "rate", b"s": "size"}
_HELP = "q quits  sort by: a activity  n name  r rate  s size  i inverted"


class _Rows(NamedTuple):
    """A table: the rows, their histories if there are any, and the colours of lags."""

    headers: Sequence[str]
    rows: Sequence[Sequence[object]]
    series: Sequence[Sequence[float | None]] = ()
    colours: Sequence[str] = ()


def run_screen(log: EventLog, seconds: float, order: Order) -> None:
    """Show snapshots at this interval until a key or a signal ends it."""
    console = Console(markup=False, highlight=False, emoji=False)
    history = History(log)
    with keyboard() as keys, Live(console=console, screen=True, auto_refresh=False) as live:
        screen = _Screen(console, live, keys, seconds, order)
        while screen.show(history.sample()):
            pass


class _Screen:
    """The screen with what the keys have chosen."""

    def __init__(self, console: Console, live: Live, keys: int | None, seconds: float, order: Order) -> None:
        self._console = console
        self._live = live
        self._keys = keys
        self._seconds = seconds
        self._order = order

    def show(self, snapshot: Snapshot) -> bool:
        """Show a snapshot until its time is over; return False if a key ended the program."""
        deadline, shown = time.monotonic() + self._seconds, None
        while (left := deadline - time.monotonic()) > 0:
            wanted = (self._console.width, self._console.height, self._order)
            if wanted != shown:
                self._live.update(_screen(snapshot, self._order, self._seconds, *wanted[:2]), refresh=True)
                shown = wanted
            if not self._wait(min(left, _RESIZE_CHECK_SECONDS)):
                return False
        return True

    def _wait(self, seconds: float) -> bool:
        if self._keys is None:
            time.sleep(seconds)
        elif select.select([self._keys], [], [], seconds)[0]:
            key = os.read(self._keys, 1).lower()
            if key in (b"q", b""):
                return False
            if key == b"i":
                self._order = self._order._replace(is_inverted=not self._order.is_inverted)
            elif key in _ORDER_KEYS:
                self._order = Order(_ORDER_KEYS[key])
        return True


def _screen(snapshot: Snapshot, order: Order, seconds: float, width: int, height: int) -> RenderableType:
    """All that fits: a title, topics, groups, and what the keys do."""
    activity = snapshot.activity
    topics, groups = order.topics(activity), order.groups(activity)
    servers = _server_tables(activity, height) if activity.servers and height >= _SERVERS_HEIGHT_MIN else []
    height -= sum(_SERVER_FRAME_LINES // 2 + min(len(table.rows), lines) for table, lines in servers)
    topic_lines, group_lines = _share(max(2, height - _FRAME_LINES), len(topics), len(groups))
    topic_table = _Rows(
        TOPIC_HEADERS, [topic_row(each) for each in topics], [snapshot.topic_rates[each.name] for each in topics]
    )
    group_table = _Rows(
        GROUP_HEADERS,
        [group_row(each) for each in groups],
        [snapshot.group_lags[each.name] for each in groups],
        [lag_colour(each) for each in groups],
    )
    lines: list[RenderableType] = [_title(activity, order), ""]
    for table, table_lines in ((topic_table, topic_lines), (group_table, group_lines), *servers):
        lines += [_table(table, table_lines, width, seconds), ""]
    return Group(*lines[:-1], Text(_HELP, style="dim", no_wrap=True, overflow="ellipsis"))


def _title(activity: Activity, order: Order) -> Text:
    sizes = f"{len(activity.topics)} topics  {len(activity.groups)} groups"
    sorting = f"by {order.name}{' inverted' if order.is_inverted else ''}"
    text = f"eventlog top  {output.time_text(activity.time_ms)}  {sizes}  {sorting}"
    return Text(text, style="bold", no_wrap=True, overflow="ellipsis")


def _server_tables(activity: Activity, height: int) -> list[tuple[_Rows, int]]:
    """The servers and their requests, each with the lines that it gets: together half of the screen at most."""
    lines = height // 2 - _SERVER_FRAME_LINES
    return [
        (_Rows(SERVER_HEADERS, server_rows(activity)), lines // 3),
        (_Rows(API_HEADERS, api_rows(activity)), lines - lines // 3),
    ]


def _share(lines: int, topics: int, groups: int) -> tuple[int, int]:
    """How many lines topics and groups get: half each, and what one does not need is the other's."""
    half = lines // 2
    for_topics = min(topics, max(half, lines - groups))
    return for_topics, min(groups, lines - for_topics)


def _table(given: _Rows, lines: int, width: int, seconds: float) -> Table:
    """The first rows, names cut to what is left of the width; the last line says how many are not shown."""
    count = len(given.rows) if len(given.rows) <= lines else max(0, lines - 1)
    cells = [[output.cell_text(cell) for cell in row] for row in given.rows[:count]]
    history = _history_width(given, cells, width)
    table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="bold", expand=True)
    table.add_column(given.headers[0], ratio=1, no_wrap=True, overflow="ellipsis")
    for header in given.headers[1:]:
        table.add_column(header, justify="right", no_wrap=True)
    if history:
        span = output.seconds_text(seconds * history)
        table.add_column(f"LAST {span}", justify="right", no_wrap=True, width=history)
    for number, row in enumerate(cells):
        shown: list[str | Text] = list(row)
        colour = given.colours[number] if given.colours else ""
        if colour:
            shown[_LAG_COLUMN] = Text(row[_LAG_COLUMN], style=colour)
        if history:
            shown.append(Text(sparkline(given.series[number], history), style=colour or "cyan"))
        table.add_row(*shown)
    if count < len(given.rows):
        table.add_row(f"and {len(given.rows) - count} more", style="dim")
    return table


def _history_width(given: _Rows, cells: Sequence[Sequence[str]], width: int) -> int:
    """The columns that are left for the history when names and numbers are shown in full; 0 if they are too few."""
    if not given.series:
        return 0
    widths = [max(map(cell_len, column)) for column in zip(given.headers, *cells, strict=True)]
    left = width - max(_NAME_WIDTH_MIN, widths[0]) - sum(widths[1:]) - _GAP * len(widths)
    return min(left, POINTS_MAX) if left >= _HISTORY_WIDTH_MIN else 0
