"""The program: it samples the store at an interval, and shows one screen after the other."""

from __future__ import annotations

import asyncio
import signal
import threading
from typing import TYPE_CHECKING, ClassVar

from textual.app import App
from textual.binding import Binding, BindingType

from eventlog.cli import STATUS_INTERRUPTED, STATUS_TERMINATED
from eventlog.cli.screens.history import History, Snapshot
from eventlog.cli.tui.overview import OverviewScreen
from eventlog.cli.tui.store_screen import StoreScreen
from eventlog.errors import EventLogError

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from eventlog import EventLog

_ENDING_SIGNALS = {signal.SIGINT: STATUS_INTERRUPTED, signal.SIGTERM: STATUS_TERMINATED, signal.SIGHUP: STATUS_TERMINATED}
_WIDE_COLUMNS = 140


class StoreApp(App[int]):
    """Shows a store, which is read only; `open_to_write` opens it for a reset, and is None where nothing may be changed."""

    CSS = """
    .hidden { display: none; }
    #title { background: $primary; color: $text; text-style: bold; }
    #message, #input { height: 1; }
    StoreTable { height: 1fr; }
    #tables { height: 1fr; layout: vertical; }
    .-wide #tables { layout: horizontal; }
    .-wide #tables > * { width: 1fr; height: 1fr; }
    #box { width: 76; max-width: 100%; height: auto; max-height: 100%; padding: 1 2; }
    #box { background: $surface; border: round $primary; }
    #box StoreTable { height: auto; max-height: 12; }
    ModalScreen { align: center middle; }
    """
    TITLE = "eventlog"
    ENABLE_COMMAND_PALETTE = False
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (_WIDE_COLUMNS, "-wide")]  # noqa: RUF012
    BINDINGS: ClassVar[list[BindingType]] = [Binding("ctrl+c", "interrupt", show=False, priority=True)]

    def __init__(
        self,
        log: EventLog,
        store_name: str,
        seconds: float,
        open_to_write: Callable[[], AbstractContextManager[EventLog]] | None,
    ) -> None:
        super().__init__()
        self.store_log = log
        self.store_name = store_name
        self.seconds = seconds
        self.open_to_write = open_to_write
        self.snapshot: Snapshot | None = None
        self._history = History(log)
        self._is_sampling = False

    def on_mount(self) -> None:
        """Show the first screen, and take samples from now on."""
        self.theme = "textual-dark"
        self.push_screen(OverviewScreen())
        self.set_interval(self.seconds, self.sample)
        self.sample()
        if not self.is_headless and threading.current_thread() is threading.main_thread():
            for number, status in _ENDING_SIGNALS.items():
                asyncio.get_running_loop().add_signal_handler(number, self.exit, status)

    def sample(self) -> None:
        """Measure the store in a thread, unless that is being done, and let the screen show it."""
        if not self._is_sampling:
            self._is_sampling = True
            self.run_worker(self._sample())

    async def _sample(self) -> None:
        try:
            self.snapshot = await asyncio.to_thread(self._history.sample)
        except (EventLogError, OSError) as error:
            if isinstance(self.screen, StoreScreen):
                self.screen.complain(str(error))
        else:
            if isinstance(self.screen, StoreScreen):
                self.screen.renew()
        finally:
            self._is_sampling = False

    def action_interrupt(self) -> None:
        """Ctrl-C ends it as it ends other commands."""
        self.exit(STATUS_INTERRUPTED)
