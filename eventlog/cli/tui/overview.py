"""The first screen: all topics, and all groups."""

from __future__ import annotations

from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.widgets import Input

from eventlog.cli.screens.activity import GROUP_HEADERS, ORDERS, TOPIC_HEADERS, Order, group_row, lag_colour, topic_row
from eventlog.cli.screens.history import Snapshot
from eventlog.cli.tui.group import GroupScreen
from eventlog.cli.tui.store_screen import StoreScreen
from eventlog.cli.tui.table import ROWS_MAX, Row, StoreTable
from eventlog.cli.tui.topic import TopicScreen

_LAG_COLUMN = GROUP_HEADERS.index("LAG")


class OverviewScreen(StoreScreen):
    """Topics and groups with their rates, lag and history."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "search", "search", key_display="/"),
        Binding("s", "sort", "sort"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._order = Order("name")
        self._wanted = ""

    def content(self) -> ComposeResult:
        """The two tables."""
        with Container(id="tables"):
            yield StoreTable(TOPIC_HEADERS, numbers=range(1, len(TOPIC_HEADERS)), id="topics")
            yield StoreTable(GROUP_HEADERS, numbers=range(1, len(GROUP_HEADERS)), id="groups")

    def show(self, found: Any, snapshot: Snapshot) -> None:
        """Show the topics and groups whose names are wanted."""
        activity = snapshot.activity
        topics = [each for each in self._order.topics(activity) if self._wanted in each.name.lower()]
        groups = [each for each in self._order.groups(activity) if self._wanted in each.name.lower()]
        self.query_one("#topics", StoreTable).fill(
            [Row(each.name, topic_row(each), series=snapshot.topic_rates[each.name]) for each in topics],
            seconds=self.program.seconds,
        )
        self.query_one("#groups", StoreTable).fill(
            [
                Row(each.name, group_row(each), {_LAG_COLUMN: lag_colour(each)}, snapshot.group_lags[each.name])
                for each in groups
            ],
            seconds=self.program.seconds,
        )
        self.say(self._summary(len(topics), len(groups)))

    def _summary(self, topics: int, groups: int) -> str:
        cut = f"; only the first {ROWS_MAX} are shown: / narrows them" if max(topics, groups) > ROWS_MAX else ""
        found = f" whose names contain {self._wanted!r}" if self._wanted else ""
        return f"{topics} topics and {groups} groups{found}, by {self._order.name}{cut}"

    def on_data_table_row_selected(self, event: StoreTable.RowSelected) -> None:
        """Open the topic or group under the cursor."""
        table = event.data_table
        if isinstance(table, StoreTable) and table.selected is not None:
            self.app.push_screen(TopicScreen(table.selected) if table.id == "topics" else GroupScreen(table.selected))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Show only what contains the text."""
        self._wanted = event.value.lower()
        self.stop_asking()
        self.renew()

    def action_search(self) -> None:
        """Ask for a part of a name."""
        self.ask("part of the name of a topic or group", self._wanted)

    def action_sort(self) -> None:
        """Sort by the next of the orders."""
        orders = list(ORDERS)
        self._order = Order(orders[(orders.index(self._order.name) + 1) % len(orders)])
        self.renew()

    def action_back(self) -> None:
        """Leave the search."""
        if not self.stop_asking() and self._wanted:
            self._wanted = ""
            self.renew()
