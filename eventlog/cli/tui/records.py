"""The records of a partition, a page at a time, and one of them in full."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, ClassVar

import click
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.widgets import Input, Static

from eventlog.cli import output
from eventlog.cli.parsing import start_type
from eventlog.cli.screens.content import Content
from eventlog.cli.screens.history import Snapshot
from eventlog.cli.screens.model import Page, RecordView, read_page, read_page_before, read_record, search_page
from eventlog.cli.tui.store_screen import StoreScreen
from eventlog.cli.tui.table import PagedTable, Row, StoreTable
from eventlog.errors import EventLogError

if TYPE_CHECKING:
    from eventlog import EventLog

_HEADERS = ("OFFSET", "TIME", "KEY", "VALUE")
_VALUE_COLUMN = _HEADERS.index("VALUE")
_KEY_CHARACTERS = 24
_SEARCH_SECONDS = 0.3  # after that, it is shown how far the search is
_NULL = "null"


class RecordsScreen(StoreScreen):
    """Records from `first` on; without it the last ones, as they come."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "search", "search", key_display="/"),
        Binding("n", "next", "next found", show=False),
        Binding("o", "go", "go to"),
    ]

    def __init__(self, topic: str, partition: int, first: int | None = None) -> None:
        super().__init__()
        self._topic = topic
        self._partition = partition
        self.path = f"{topic}  ›  {partition}"
        self._first = first
        self._before: int | None = None
        self._page = Page(0, 0, (), 0)
        self._searched = ""
        self._asked = ""

    def content(self) -> ComposeResult:
        """The table."""
        yield PagedTable(_HEADERS, self._turn, flexible=_VALUE_COLUMN, numbers=[0])

    def read(self, log: EventLog) -> Page | None:
        """The page as it is now; None while what a search has found is shown."""
        count = self._count()
        if self._searched:
            return None
        if self._before is not None or self._first is None:
            before = 2**63 - 1 if self._before is None else self._before
            page = read_page_before(log, self._topic, self._partition, before, count)
            if self._before is None or len(page.records) == count:
                return page
            return read_page(log, self._topic, self._partition, page.start_offset, count)
        return read_page(log, self._topic, self._partition, self._first, count)

    def show(self, found: Any, snapshot: Snapshot) -> None:
        """Show the page."""
        if found is not None and not self._searched:
            self._show_page(found)

    def _show_page(self, page: Page) -> None:
        follows = self._first is None and self._before is None and not self._searched
        is_new = page.records[-1:] != self._page.records[-1:]
        self._page = page
        table = self.query_one(PagedTable)
        table.fill([_row(record) for record in page.records])
        if follows and is_new and page.records:
            table.move_cursor(row=len(page.records) - 1)
        if not self._searched:
            following = ", and new ones as they come" if follows else ""
            self.say(f"offsets {page.start_offset} to {page.end_offset - 1}{following}" if page.records else "no records")

    def _count(self) -> int:
        return max(5, self.size.height - 5)

    def _turn(self, direction: int) -> None:
        """Show the page after or before."""
        if self._searched:
            if direction > 0:
                self.action_next()
            return
        records = self._page.records
        if direction > 0 and self._page.next_offset < self._page.end_offset:
            self._first, self._before = self._page.next_offset, None
        elif direction < 0 and records and records[0].offset > self._page.start_offset:
            self._first, self._before = None, records[0].offset
        else:
            return
        self.query_one(PagedTable).move_cursor(row=0 if direction > 0 else self._count())
        self.renew()

    def on_data_table_row_selected(self, event: StoreTable.RowSelected) -> None:
        """Open the record under the cursor."""
        selected = self.query_one(PagedTable).selected
        if selected is not None:
            self.app.push_screen(RecordScreen(self._topic, self._partition, int(selected)))

    def action_search(self) -> None:
        """Ask for a text."""
        self._asked = "search"
        self.ask("a text in key, value or headers", self._searched)

    def action_go(self) -> None:
        """Ask for an offset or a time."""
        self._asked = "go"
        self.ask("an offset, or a time such as 2h ago or 2026-11-01T10:00")

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Search, or go there."""
        self.stop_asking()
        self.query_one(PagedTable).focus()
        if self._asked == "go":
            self.run_worker(self._go(event.value), group="search", exclusive=True)
        elif event.value:
            self._searched = event.value
            records = self._page.records
            is_at_end = self._first is None and self._before is None
            self._search(self._page.start_offset if is_at_end or not records else records[0].offset)

    async def _go(self, text: str) -> None:
        try:
            start = start_type(text.strip())
            log = self.program.store_log
            first = await asyncio.to_thread(lambda: start.resolve(log.partition(self._topic, self._partition)))
        except click.BadParameter as error:
            self.complain(error.message)
        except (EventLogError, OSError) as error:
            self.complain(str(error))
        else:
            self._searched, self._first, self._before = "", first, None
            self.renew()

    def action_next(self) -> None:
        """Search on after what was found."""
        if self._searched:
            self._search(self._page.next_offset)

    def _search(self, first: int) -> None:
        self.run_worker(self._find(self._searched, first), group="search", exclusive=True)

    async def _find(self, text: str, first: int) -> None:
        """Search until a page is found, step by step: so it is seen how far it is, and another key ends it."""
        found: tuple[RecordView, ...] = ()
        count = self._count()
        while True:
            self.say(f"searching {text!r}: at offset {first}, {len(found)} found; escape ends it")
            arguments = (self._topic, self._partition, text, first, count - len(found))
            try:
                page = await asyncio.to_thread(
                    search_page, self.program.store_log, *arguments, seconds_max=_SEARCH_SECONDS
                )
            except (EventLogError, OSError) as error:
                self.complain(str(error))
                return
            found, first = found + page.records, page.next_offset
            if len(found) == count or first >= page.end_offset:
                break
        self._show_page(page._replace(records=found))
        more = "n searches on" if first < page.end_offset else "no more"
        self.say(f"{len(found)} found with {text!r}; {more}; escape leaves the search")

    def action_first(self) -> None:
        """To the first records."""
        self._leave_search(0)

    def action_last(self) -> None:
        """To the last records, as they come."""
        self._leave_search(None)

    def _leave_search(self, first: int | None) -> None:
        self.workers.cancel_group(self, "search")
        self._searched, self._first, self._before = "", first, None
        self.query_one(PagedTable).move_cursor(row=0)
        self.renew()

    def action_back(self) -> None:
        """Leave the search, or the screen."""
        if self._searched and self.query_one("#input", Input).has_class("hidden"):
            self._leave_search(self._page.records[0].offset if self._page.records else None)
        else:
            super().action_back()


class RecordScreen(StoreScreen):
    """One record in full, or the beginning of it if it is long."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "step(-1)", "before"),
        Binding("right", "step(1)", "after"),
    ]

    def __init__(self, topic: str, partition: int, offset: int) -> None:
        super().__init__()
        self._topic = topic
        self._partition = partition
        self._offset = offset
        self._shown: RecordView | None = None
        self.path = f"{topic}  ›  {partition}  ›  {offset}"

    def content(self) -> ComposeResult:
        """A text that scrolls."""
        with VerticalScroll():
            yield Static(id="record", markup=False)

    def read(self, log: EventLog) -> RecordView | None:
        """The record."""
        return read_record(log, self._topic, self._partition, self._offset)

    def show(self, found: Any, snapshot: Snapshot) -> None:
        """Show the record; it does not change."""
        if found is None:
            self.complain(f"there is no record with offset {self._offset}")
        elif found != self._shown:
            self._shown = found
            self.say("")
            self.query_one("#record", Static).update(record_text(found))

    def action_step(self, step: int) -> None:
        """To the record before or after."""
        if self._offset + step >= 0:
            self._offset += step
            self.path = f"{self._topic}  ›  {self._partition}  ›  {self._offset}"
            self.say_title()
            self.renew()


def _row(record: RecordView) -> Row:
    key = _in_line(record.key)
    if len(key) > _KEY_CHARACTERS:
        key = key[: _KEY_CHARACTERS - 1] + "…"
    colours = {2: "dim" if record.key is None else "", 3: "dim" if record.value is None else ""}
    return Row(str(record.offset), (record.offset, output.time_text(record.timestamp), key, _in_line(record.value)), colours)


def _in_line(content: Content | None) -> str:
    return _NULL if content is None else content.text + ("…" if content.is_cut else "")


def record_text(record: RecordView) -> Text:
    """A record as a text of several lines."""
    text = Text.assemble(
        ("offset     ", "bold"), f"{record.offset}\n", ("timestamp  ", "bold"), f"{output.time_text(record.timestamp)}\n",
        ("key        ", "bold"), *_described(record.key), "\n",
    )  # fmt: skip
    for name, value in record.headers:
        text.append_text(Text.assemble(("header     ", "bold"), f"{name}: ", *_described(value), "\n"))
    if record.headers_left_out:
        text.append(f"and {record.headers_left_out} more headers\n", "dim")
    size = "" if record.value is None else f"{output.bytes_text(record.value.size_bytes)}"
    text.append_text(Text.assemble(("value      ", "bold"), (size, "dim"), "\n\n", *_described(record.value)))
    return text


def _described(content: Content | None) -> list[str | tuple[str, str]]:
    if content is None:
        return [(_NULL, "dim")]
    return [content.text, ("\n… cut here" if content.is_cut else "", "dim")]
