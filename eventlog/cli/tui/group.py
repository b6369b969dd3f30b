"""A group: how far it is in each partition, and how its lag was."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from eventlog.cli import output
from eventlog.cli.screens.history import Snapshot
from eventlog.cli.screens.model import GroupView, read_group
from eventlog.cli.tui.records import RecordsScreen
from eventlog.cli.tui.reset import ResetScreen
from eventlog.cli.tui.store_screen import Chart, Line, StoreScreen
from eventlog.cli.tui.table import Row, StoreTable

if TYPE_CHECKING:
    from eventlog import EventLog, Progress, TopicPartition

_HEADERS = ("TOPIC", "PART", "COMMITTED", "END", "LAG", "BYTES", "AGE", "CATCH UP", "MEMBER")
_LAG_COLUMN = _HEADERS.index("LAG")


class GroupScreen(StoreScreen):
    """One group."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("r", "reset", "reset"),
        Binding("R", "reset_all", "reset all", key_display="R"),
    ]

    def __init__(self, group: str) -> None:
        super().__init__()
        self._group = group
        self.path = group
        self._partitions: dict[str, tuple[TopicPartition, Progress]] = {}

    def content(self) -> ComposeResult:
        """Two charts and a table."""
        yield Line(id="description")
        yield Chart("lag")
        yield Chart("records/s")
        yield StoreTable(_HEADERS, numbers=range(1, len(_HEADERS) - 1))

    def read(self, log: EventLog) -> GroupView:
        """The group as it is now."""
        return read_group(log, self._group)

    def show(self, found: Any, snapshot: Snapshot) -> None:
        """Show the group."""
        group: GroupView = found
        lags, rates = snapshot.group_lags.get(self._group, ()), snapshot.group_rates.get(self._group, ())
        lag, rate = self.query(Chart)
        lag.draw(lags, output.count_text(lags[-1]) if lags else None)
        rate.draw(rates, output.count_text(rates[-1]) if rates else None)
        idle = sum(not member.partitions for member in group.members)
        members = f"{len(group.members)} members" + (f", {idle} of them without partitions" if idle else "")
        self.query_one("#description", Line).say(
            f"generation {group.generation}  assignor {group.assignor or '-'}  {members}", "dim"
        )
        owners = {partition: member.member_id for member in group.members for partition in member.partitions}
        self._partitions = {str(partition): (partition, progress) for partition, progress in group.partitions}
        self.query_one(StoreTable).fill(
            [_row(partition, progress, owners.get(partition)) for partition, progress in group.partitions]
        )

    def on_data_table_row_selected(self, event: StoreTable.RowSelected) -> None:
        """Open the partition under the cursor, at the record that is next for the group."""
        selected = self._selected()
        if selected is not None:
            (topic, number), progress = selected
            self.app.push_screen(RecordsScreen(topic, number, progress.committed))

    def action_reset(self) -> None:
        """Reset the partition under the cursor, after a dry run."""
        selected = self._selected()
        if selected is not None:
            self.app.push_screen(ResetScreen(self._group, [selected[0]]), self._after_reset)

    def action_reset_all(self) -> None:
        """Reset all partitions, after a dry run."""
        partitions = [partition for partition, _ in self._partitions.values()]
        if partitions:
            self.app.push_screen(ResetScreen(self._group, partitions), self._after_reset)

    def _after_reset(self, done: str | None) -> None:
        if done is not None:
            self.say(done)
        self.program.sample()

    def _selected(self) -> tuple[TopicPartition, Progress] | None:
        return self._partitions.get(self.query_one(StoreTable).selected or "")


def _row(partition: TopicPartition, progress: Progress, owner: str | None) -> Row:
    colour = ""
    if progress.lag is not None:
        colour = "green" if progress.lag == 0 else "yellow" if progress.catch_up_seconds is not None else "red"
    cells = (
        partition.topic, partition.partition, progress.committed, progress.end_offset, progress.lag,
        output.bytes_text(progress.lag_bytes), output.seconds_text(progress.lag_seconds),
        output.seconds_text(progress.catch_up_seconds), owner,
    )  # fmt: skip
    return Row(str(partition), cells, {_LAG_COLUMN: colour})
