"""Resetting a group: first it is shown what would change, and only a second key does it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, cast

import click
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input

from eventlog.cli.groups_reset import new_offsets
from eventlog.cli.parsing import OFFSET_MAX, Start, start_type
from eventlog.cli.tui.store_screen import Line
from eventlog.cli.tui.table import Row, StoreTable
from eventlog.errors import EventLogError

if TYPE_CHECKING:
    from eventlog import EventLog, OffsetChange, TopicPartition
    from eventlog.cli.tui.app import StoreApp

_HEADERS = ("TOPIC", "PARTITION", "BEFORE", "AFTER")


class ResetScreen(ModalScreen[str | None]):
    """Asks where to reset the partitions of a group to; its result says what was done, None if nothing was."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "cancel", "cancel"),
        Binding("y", "execute", "do it"),
    ]

    def __init__(self, group: str, partitions: Sequence[TopicPartition]) -> None:
        super().__init__()
        self._group = group
        self._partitions = partitions
        self._offsets: Mapping[TopicPartition, int] = {}

    def compose(self) -> ComposeResult:
        """A box with the question, and what would be changed."""
        with Vertical(id="box"):
            yield Line(id="question")
            yield Input(placeholder="earliest, latest, an offset, 2h ago, -10 or +10", id="to", compact=True)
            yield StoreTable(_HEADERS, numbers=[1, 2, 3])
            yield Line(id="answer")

    def on_mount(self) -> None:
        """Ask."""
        which = str(self._partitions[0]) if len(self._partitions) == 1 else f"{len(self._partitions)} partitions"
        self.query_one("#question", Line).say(f"Reset {self._group} in {which} to:", "bold")
        self.query_one(StoreTable).display = False
        self._answer("enter shows what would change, escape cancels")

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Show what would be changed."""
        try:
            target = parse_target(event.value)
        except click.BadParameter as error:
            self._answer(error.message, is_error=True)
            return
        self.run_worker(self._plan(target), exclusive=True)

    def on_input_changed(self) -> None:
        """Another question: what was shown is no longer the answer."""
        self._offsets = {}
        self.query_one(StoreTable).display = False

    async def _plan(self, target: Start | int) -> None:
        try:
            self._offsets, changes = await asyncio.to_thread(self._changes, self._program.store_log, target)
        except (EventLogError, OSError) as error:
            self._answer(str(error), is_error=True)
            return
        table = self.query_one(StoreTable)
        table.display = True
        table.fill([Row(str(each.partition), (*each.partition, each.before, each.after)) for each in changes])
        table.focus()
        if self._program.open_to_write is None:
            self._answer("nothing was changed, and with --read-only nothing can be; escape goes back")
        else:
            self._answer("nothing was changed yet: y resets the group, escape cancels")

    def _changes(
        self, log: EventLog, target: Start | int
    ) -> tuple[Mapping[TopicPartition, int], Sequence[OffsetChange]]:
        group = log.group(self._group)
        offsets = new_offsets(log, group, self._partitions, target)
        return offsets, group.plan_reset(offsets)

    def action_execute(self) -> None:
        """Reset the group as it was shown."""
        if self._offsets and self._program.open_to_write is not None:
            self.run_worker(self._execute(self._offsets), exclusive=True)

    async def _execute(self, offsets: Mapping[TopicPartition, int]) -> None:
        try:
            await asyncio.to_thread(self._reset, offsets)
        except (EventLogError, OSError) as error:
            self._answer(str(error), is_error=True)
            return
        self.dismiss(f"{self._group} was reset in {len(offsets)} partitions; 'eventlog groups undo' takes it back")

    def _reset(self, offsets: Mapping[TopicPartition, int]) -> None:
        open_to_write = self._program.open_to_write
        assert open_to_write is not None
        with open_to_write() as log:
            log.group(self._group).reset(offsets)

    def action_cancel(self) -> None:
        """Change nothing."""
        self.dismiss(None)

    @property
    def _program(self) -> StoreApp:
        return cast("StoreApp", self.app)

    def _answer(self, text: str, *, is_error: bool = False) -> None:
        self.query_one("#answer", Line).say(text, "bold red" if is_error else "dim")


def parse_target(text: str) -> Start | int:
    """Where to reset to: a position as `groups reset --to` takes it, or with a sign a number of records. Raises
    click.BadParameter."""
    text = text.strip()
    sign, digits = text[:1], text[1:]
    if sign in ("+", "-") and digits.isascii() and digits.isdecimal():
        distance = min(int(digits.lstrip("0")[:20] or "0"), OFFSET_MAX)
        return -distance if sign == "-" else distance
    return start_type(text)
