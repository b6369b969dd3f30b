"""What the screens of `eventlog ui` have in common: they read the store in a thread, and show what they have read."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, ClassVar, cast

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import ModalScreen, Screen
from textual.widgets import Footer, Input, Static

from eventlog.cli import output
from eventlog.cli.screens.history import Series, Snapshot, sparkline
from eventlog.errors import EventLogError

if TYPE_CHECKING:
    from eventlog import EventLog
    from eventlog.cli.tui.app import StoreApp

_HELP = """\
 arrows, tab      move; between the tables of a screen
 enter            open: topic, partition, record, group
 escape           back; also leaves a search
 page up/down     the page of records before and after
 home, end        the first records; the last ones, as they come
 /                search: a name, or a text in records
 o                go to an offset or a time
 n                the next records that match
 s                sort topics and groups another way
 r, R             reset the group in one partition, in all
 ?                this help
 q                quit

Nothing is changed unless you confirm a reset."""


class Line(Static):
    """One line of text, cut to the width."""

    DEFAULT_CSS = "Line { height: 1; width: 1fr; text-wrap: nowrap; text-overflow: ellipsis; }"

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__("", markup=False, id=id, classes=classes)

    def say(self, text: str, style: str = "") -> None:
        """Show this text, with what could steer a terminal escaped."""
        self.update(Text(output.printable(text), style=style, no_wrap=True, overflow="ellipsis"))


class Chart(Static):
    """The last values of something, drawn over the width."""

    DEFAULT_CSS = "Chart { height: 1; width: 1fr; }"

    def __init__(self, label: str) -> None:
        super().__init__("", markup=False)
        self._label = label

    def draw(self, series: Series, now: str | None) -> None:
        """Show these values, and what the last one is."""
        label, value = f"{self._label:<12}", f"  {now or '-'}"
        width = max(0, self.size.width - len(label) - max(len(value), 12))
        self.update(Text.assemble((label, "bold"), (sparkline(series, width), "cyan"), value, no_wrap=True))


class StoreScreen(Screen[None]):
    """A screen of the store. `path` says where it is, such as "orders › 0"."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "back", "back"),
        Binding("question_mark", "help", "help", key_display="?"),
        Binding("q", "quit_program", "quit"),
    ]

    path = ""

    def __init__(self) -> None:
        super().__init__()
        self._is_reading = False
        self._is_outdated = False

    @property
    def program(self) -> StoreApp:
        """The program that shows this screen."""
        return cast("StoreApp", self.app)

    def compose(self) -> ComposeResult:
        """A title, the content, an input that is there when it is needed, and the keys."""
        yield Line(id="title")
        yield from self.content()
        yield Line(id="message")
        yield Input(id="input", classes="hidden", compact=True)
        yield Footer(show_command_palette=False, compact=True)

    def content(self) -> ComposeResult:
        """The widgets of this screen."""
        raise NotImplementedError

    def read(self, log: EventLog) -> Any:
        """Read what is shown. Runs in a thread; raises `EventLogError`, `OSError`."""
        return None

    def show(self, found: Any, snapshot: Snapshot) -> None:
        """Show what `read` has returned."""
        raise NotImplementedError

    def on_mount(self) -> None:
        """Show the title, and read for the first time."""
        self.say_title()
        self.renew()

    def on_screen_resume(self) -> None:
        """Back from another screen: what is shown may be old."""
        self.renew()

    def say_title(self) -> None:
        """Say which store and what of it is shown."""
        title = f" eventlog  {self.program.store_name}" + (f"  ›  {self.path}" if self.path else "")
        self.query_one("#title", Line).say(title)

    def renew(self) -> None:
        """Read and show; once more if that is being done, because something else may be wanted by now."""
        self._is_outdated = True
        if not self._is_reading and self.program.snapshot is not None:
            self._is_reading = True
            self.run_worker(self._renew())

    async def _renew(self) -> None:
        try:
            while self._is_outdated:
                self._is_outdated = False
                found = await asyncio.to_thread(self.read, self.program.store_log)
                if not self._is_outdated and self.is_attached and self.program.snapshot is not None:
                    self.show(found, self.program.snapshot)
        except (EventLogError, OSError) as error:
            self.complain(str(error))
        finally:
            self._is_reading = False

    def say(self, text: str) -> None:
        """Show a line above the keys."""
        self.query_one("#message", Line).say(text, "dim")

    def complain(self, text: str) -> None:
        """Show an error above the keys."""
        self.query_one("#message", Line).say(text, "bold red")

    def ask(self, placeholder: str, value: str = "") -> None:
        """Let the user type a line; `on_input_submitted` gets it."""
        field = self.query_one("#input", Input)
        field.placeholder, field.value = placeholder, value
        field.remove_class("hidden")
        field.focus()

    def stop_asking(self) -> bool:
        """Hide the line; return False if it was not there."""
        field = self.query_one("#input", Input)
        if field.has_class("hidden"):
            return False
        field.add_class("hidden")
        self.focus_next()
        return True

    def action_back(self) -> None:
        """Leave the line that is being typed, else the screen."""
        if not self.stop_asking() and len(self.app.screen_stack) > 2:
            self.app.pop_screen()

    def action_help(self) -> None:
        """Explain the keys."""
        self.app.push_screen(HelpScreen())

    def action_quit_program(self) -> None:
        """End the program."""
        self.app.exit(0)


class HelpScreen(ModalScreen[None]):
    """Explains the keys, until one is pressed."""

    def compose(self) -> ComposeResult:
        """A box with the explanation."""
        yield Static(_HELP, id="box", markup=False)

    def on_key(self) -> None:
        """Back."""
        self.dismiss()
