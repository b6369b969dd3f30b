"""A table that is renewed in place, and gives its columns the width that there is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, NamedTuple

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.coordinate import Coordinate
from textual.events import Resize
from textual.widgets import DataTable

from eventlog.cli import output
from eventlog.cli.screens.history import Series, sparkline

_GAP = 2  # the padding of a cell, on both sides together
_SCROLL_BAR = 2
_FIRST_WIDTH_MIN, _HISTORY_WIDTH_MIN = 12, 10
ROWS_MAX = 500  # a longer table would take long to renew


class Row(NamedTuple):
    """A row: what it stands for, its cells, the colours of some by their column, and a history to be drawn."""

    key: str
    cells: Sequence[object]
    colours: dict[int, str] = {}  # noqa: RUF012
    series: Series | None = None


class StoreTable(DataTable[Text]):
    """Rows with a cursor that stays on what it was on. `flexible` is the column that is cut if there is no room, and `numbers`
    are the columns aligned to the right. If the rows have a history, it is drawn in what is left of the width."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "select_cursor", "open"),
        Binding("home", "scroll_top", "top", show=False),
        Binding("end", "scroll_bottom", "bottom", show=False),
    ]

    def __init__(
        self, headers: Sequence[str], *, flexible: int = 0, numbers: Sequence[int] = (), id: str | None = None
    ) -> None:
        super().__init__(cursor_type="row", id=id)
        self._headers = headers
        self._flexible = flexible
        self._numbers = frozenset(numbers)
        self._rows: Sequence[Row] = ()
        self._layout: tuple[object, ...] = ()

    @property
    def selected(self) -> str | None:
        """What the row under the cursor stands for."""
        return self._rows[self.cursor_row].key if 0 <= self.cursor_row < len(self._rows) else None

    def fill(self, rows: Sequence[Row], *, seconds: float = 0) -> None:
        """Show these rows; `seconds` is the time between two values of a history."""
        rows = rows[:ROWS_MAX]
        cells = [[output.cell_text(cell) for cell in row.cells] for row in rows]
        widths, history = self._widths(cells, any(row.series is not None for row in rows))
        headers = [*self._headers, *([f"LAST {output.seconds_text(seconds * history)}"] if history else [])]
        shown = [self._texts(row, texts, widths, history) for row, texts in zip(rows, cells, strict=True)]
        layout = (headers, widths, history, [row.key for row in rows])
        before, self._rows = self.selected, rows
        if layout == self._layout:
            self._renew(shown)
        else:
            self._layout = layout
            self._rebuild(headers, [*widths, *([history] if history else [])], shown, before)

    def on_resize(self, event: Resize) -> None:
        """Cut the columns anew."""
        if self._rows:
            self.fill(self._rows)

    def _widths(self, cells: Sequence[Sequence[str]], has_history: bool) -> tuple[list[int], int]:
        """The width of each column, and that of the history, which is 0 if there is no room for it."""
        widths = [max(map(len, column)) for column in zip(self._headers, *cells, strict=True)]
        columns = len(widths) + has_history
        room = self.size.width - _SCROLL_BAR - _GAP * columns
        wanted = widths[self._flexible]
        others = sum(widths) - wanted
        widths[self._flexible] = max(min(wanted, room - others), min(wanted, _FIRST_WIDTH_MIN))
        left = room - sum(widths)
        return widths, left if has_history and left >= _HISTORY_WIDTH_MIN else 0

    def _texts(self, row: Row, cells: Sequence[str], widths: Sequence[int], history: int) -> list[Text]:
        shown = []
        for number, (cell, width) in enumerate(zip(cells, widths, strict=True)):
            text = Text(cell, style=row.colours.get(number, ""), no_wrap=True, end="")
            text.truncate(width, overflow="ellipsis")
            text.justify = "right" if number in self._numbers else "left"
            shown.append(text)
        if history:
            shown.append(Text(sparkline(row.series or (), history), style="cyan", no_wrap=True, end=""))
        return shown

    def _renew(self, shown: Sequence[Sequence[Text]]) -> None:
        for number, texts in enumerate(shown):
            for column, text in enumerate(texts):
                if self.get_cell_at(Coordinate(number, column)) != text or text.spans:
                    self.update_cell_at(Coordinate(number, column), text)

    def _rebuild(
        self, headers: Sequence[str], widths: Sequence[int], shown: Sequence[Sequence[Text]], selected: str | None
    ) -> None:
        top, row = self.scroll_offset.y, self.cursor_row
        self.clear(columns=True)
        for number, (header, width) in enumerate(zip(headers, widths, strict=True)):
            self.add_column(Text(header, justify="right" if number in self._numbers else "left"), width=width)
        for texts in shown:
            self.add_row(*texts)
        keys = [each.key for each in self._rows]
        if keys:
            self.move_cursor(row=keys.index(selected) if selected in keys else min(row, len(keys) - 1), scroll=False)
            self.scroll_to(y=top, animate=False, force=True)


class PagedTable(StoreTable):
    """A table of one page of many, whose cursor leaves it for the page before or after."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("home", "screen.first", "first", show=False),
        Binding("end", "screen.last", "last", show=False),
    ]

    def __init__(self, headers: Sequence[str], turn: Callable[[int], None], *, flexible: int, numbers: Sequence[int]) -> None:
        super().__init__(headers, flexible=flexible, numbers=numbers)
        self._turn = turn

    def action_cursor_down(self) -> None:
        """One row down, or to the page after."""
        if self.cursor_row >= self.row_count - 1:
            self._turn(1)
        else:
            super().action_cursor_down()

    def action_cursor_up(self) -> None:
        """One row up, or to the page before."""
        if self.cursor_row <= 0:
            self._turn(-1)
        else:
            super().action_cursor_up()

    def action_page_down(self) -> None:
        """To the page after."""
        self._turn(1)

    def action_page_up(self) -> None:
        """To the page before."""
        self._turn(-1)
