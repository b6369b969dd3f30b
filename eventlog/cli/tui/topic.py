"""A topic: its partitions, and the groups that consume it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from textual.app import ComposeResult
from textual.containers import Container

from eventlog.cli import output
from eventlog.cli.screens.history import Snapshot
from eventlog.cli.screens.model import TopicView, read_topic
from eventlog.cli.tui.group import GroupScreen
from eventlog.cli.tui.records import RecordsScreen
from eventlog.cli.tui.store_screen import Chart, Line, StoreScreen
from eventlog.cli.tui.table import Row, StoreTable

if TYPE_CHECKING:
    from eventlog import EventLog

_PARTITION_HEADERS = ("PARTITION", "START", "END", "RECORDS", "SEGMENTS", "SIZE")
_GROUP_HEADERS = ("GROUP", "LAG HERE")


class TopicScreen(StoreScreen):
    """One topic."""

    def __init__(self, topic: str) -> None:
        super().__init__()
        self._topic = topic
        self.path = topic

    def content(self) -> ComposeResult:
        """A chart, the settings, and two tables."""
        yield Chart("records/s")
        yield Line(id="settings")
        with Container(id="tables"):
            yield StoreTable(_PARTITION_HEADERS, numbers=range(len(_PARTITION_HEADERS)), id="partitions")
            yield StoreTable(_GROUP_HEADERS, numbers=[1], id="groups")

    def read(self, log: EventLog) -> TopicView:
        """The topic as it is now."""
        return read_topic(log, self._topic)

    def show(self, found: Any, snapshot: Snapshot) -> None:
        """Show the topic."""
        topic: TopicView = found
        rates = snapshot.topic_rates.get(self._topic, ())
        self.query_one(Chart).draw(rates, output.count_text(rates[-1]) if rates else None)
        settings = "  ".join(f"{name}={value}" for name, value in topic.config.items())
        self.query_one("#settings", Line).say(settings or "all settings have their defaults", "dim")
        self.query_one("#partitions", StoreTable).fill([
            Row(
                str(each.partition),
                (
                    each.partition, each.start_offset, each.end_offset, each.end_offset - each.start_offset, each.segments,
                    output.bytes_text(each.size_bytes),
                ),
            )
            for each in topic.partitions
        ])  # fmt: skip
        self.query_one("#groups", StoreTable).fill(
            [
                Row(name, (name, output.count_text(lag)), {1: "green" if lag == 0 else ""}, snapshot.group_lags.get(name))
                for name, lag in topic.groups
            ],
            seconds=self.program.seconds,
        )

    def on_data_table_row_selected(self, event: StoreTable.RowSelected) -> None:
        """Open the partition or group under the cursor."""
        table = event.data_table
        if isinstance(table, StoreTable) and table.selected is not None:
            is_group = table.id == "groups"
            self.app.push_screen(
                GroupScreen(table.selected) if is_group else RecordsScreen(self._topic, int(table.selected))
            )
