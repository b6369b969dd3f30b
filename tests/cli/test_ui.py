"""`eventlog ui`, driven by Textual's own pilot at two sizes, and as a program on a terminal."""

from __future__ import annotations

import asyncio
import html
import re
import signal
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import eventlog
from eventlog import EventLog, TopicPartition
from tests.cli.command_line import CommandLine
from tests.cli.test_top import Terminal
from tests.unit.test_read_only import state

pytest.importorskip("textual", reason="needs the extra ui")

from textual.pilot import Pilot
from textual.widgets import Input

from eventlog.cli.tui.app import StoreApp
from eventlog.cli.tui.group import GroupScreen
from eventlog.cli.tui.overview import OverviewScreen
from eventlog.cli.tui.records import RecordScreen, RecordsScreen
from eventlog.cli.tui.reset import ResetScreen
from eventlog.cli.tui.table import StoreTable
from eventlog.cli.tui.topic import TopicScreen

SIZES = [(80, 24), (200, 50)]
_STEPS_MAX = 500
_HOSTILE = "\x1b[2J\x1b]0;owned\x07[bold red]markup[/] \u202e"


class Ui:
    """The program with its pilot."""

    def __init__(self, app: StoreApp, pilot: Pilot[int]) -> None:
        self.app = app
        self.pilot = pilot

    async def press(self, *keys: str) -> None:
        """Press keys one by one, each when what the one before began has ended."""
        for key in keys:
            await self.pilot.press(key)
            await self.settle()

    async def type(self, text: str) -> None:
        """Type into the field that has the focus, and enter it."""
        field = self.app.focused
        assert isinstance(field, Input)
        field.value = text
        await self.press("enter")

    async def settle(self) -> None:
        """Wait until all that was begun has ended, and is shown."""
        for _ in range(_STEPS_MAX):
            await self.pilot.pause()
            running = [worker for worker in self.app.workers if not worker.is_finished]
            if not running:
                break
            await asyncio.wait([asyncio.ensure_future(_ended(worker)) for worker in running])
        await self.pilot.pause()

    def text(self) -> str:
        """All that is on the screen."""
        return html.unescape(re.sub(r"<[^>]+>", "", self.app.export_screenshot())).replace("\xa0", " ")

    def assert_fits(self) -> None:
        """Nothing on this screen is wider than the screen."""
        for table in self.app.screen.query(StoreTable):
            assert table.virtual_size.width <= table.size.width <= self.app.size.width


async def _ended(worker: Any) -> None:
    with suppress(Exception):
        await worker.wait()


def use(
    store: Path, size: tuple[int, int], steps: Callable[[Ui], Awaitable[None]], *, may_write: bool = True
) -> None:
    """Run the program on a store with a pilot who does these steps."""

    async def run() -> None:
        opener = partial(eventlog.open, store, create=False) if may_write else None
        with eventlog.open(store, mode="r") as log:
            app = StoreApp(log, str(store), 3600, opener)
            async with app.run_test(size=size) as pilot:
                ui = Ui(app, pilot)
                await ui.settle()
                await steps(ui)

    asyncio.run(run())


@pytest.fixture
def filled(shop: CommandLine) -> Iterator[EventLog]:
    """The shop with more of everything, open to write."""
    with eventlog.open(shop.store) as log:
        log.create_topic("a-topic-with-quite-a-long-name-" * 4)
        log.create_topic("page-views", config={"retention.ms": 1000})
        log.partition("page-views", 0).append_many([b'{"page":%d}' % number for number in range(300)])
        log.partition("orders", 1).append(_HOSTILE.encode(), key=_HOSTILE.encode())
        log.partition("orders", 1).append(b"x" * 1_000_000)
        yield log


@pytest.mark.parametrize("size", SIZES)
def test_from_all_topics_down_to_one_record_and_back(shop: CommandLine, filled: EventLog, size: tuple[int, int]) -> None:
    async def steps(ui: Ui) -> None:
        assert isinstance(ui.app.screen, OverviewScreen)
        text = ui.text()
        assert all(word in text for word in ("TOPIC", "orders", "page-views", "GROUP", "billing", "?"))
        ui.assert_fits()
        await ui.press("end", "enter")
        assert isinstance(ui.app.screen, TopicScreen)
        assert "retention.ms=1000" in ui.text() and "SEGMENTS" in ui.text()
        ui.assert_fits()
        await ui.press("enter")
        assert isinstance(ui.app.screen, RecordsScreen)
        assert '{"page":299}' in ui.text()
        ui.assert_fits()
        await ui.press("home")
        assert '{"page":0}' in ui.text()
        await ui.press("down", "enter")
        assert isinstance(ui.app.screen, RecordScreen)
        assert '"page": 1' in ui.text()
        await ui.press("right")
        assert '"page": 2' in ui.text()
        await ui.press("escape", "escape", "escape")
        assert isinstance(ui.app.screen, OverviewScreen)

    use(shop.store, size, steps)


def test_nothing_is_changed_by_looking(shop: CommandLine) -> None:
    async def steps(ui: Ui) -> None:
        await ui.press("enter", "enter", "enter")
        assert "first" not in ui.text() and "null" in ui.text()
        ui.app.push_screen(GroupScreen("billing"))
        await ui.settle()

    before = state(shop.store)
    use(shop.store, (80, 24), steps)
    assert state(shop.store) == before


def test_pages_of_a_partition(shop: CommandLine, filled: EventLog) -> None:
    async def steps(ui: Ui) -> None:
        ui.app.push_screen(RecordsScreen("page-views", 0))
        await ui.settle()
        await ui.press("pageup")
        assert '{"page":299}' not in ui.text() and '{"page":280}' in ui.text()
        await ui.press("home", "pagedown", "up")
        assert '{"page":0}' in ui.text()
        await ui.press("o")
        await ui.type("150")
        assert '{"page":150}' in ui.text() and '{"page":149}' not in ui.text()
        await ui.press("o")
        await ui.type("nonsense")
        assert "is not a time" in ui.text()
        await ui.press("end")
        filled.partition("page-views", 0).append(b"brand new")
        ui.app.sample()
        await ui.settle()
        assert "brand new" in ui.text()

    use(shop.store, (80, 24), steps)


def test_a_search_finds_records_and_names(shop: CommandLine, filled: EventLog) -> None:
    async def steps(ui: Ui) -> None:
        await ui.press("slash")
        await ui.type("VIEW")
        assert "page-views" in ui.text() and "1 topics and 0 groups" in ui.text()
        await ui.press("escape")
        assert "orders" in ui.text()
        ui.app.push_screen(RecordsScreen("page-views", 0))
        await ui.settle()
        await ui.press("slash")
        await ui.type('"PAGE":29')
        assert "11 found" in ui.text() and "no more" in ui.text()
        assert '{"page":29}' in ui.text() and '{"page":30}' not in ui.text()
        await ui.press("slash")
        await ui.type("page")
        assert "n searches on" in ui.text() and '{"page":0}' in ui.text()
        await ui.press("n")
        assert '{"page":0}' not in ui.text()
        await ui.press("escape")
        assert "offsets 0 to 299" in ui.text()

    use(shop.store, (80, 24), steps)


def test_what_records_hold_steers_nothing(shop: CommandLine, filled: EventLog) -> None:
    async def steps(ui: Ui) -> None:
        ui.app.push_screen(RecordsScreen("orders", 1))
        await ui.settle()
        shown = ui.text()
        assert "\\x1b[2J\\x1b]0;owned\\x07[bold red]markup[/]" in shown
        assert not {"\x1b", "\x07", "\u202e"} & set(shown)
        ui.assert_fits()
        await ui.press("enter")  # on the last one, which is giant
        assert "976.6 KiB" in ui.text()
        await ui.press("left")
        assert "\\x1b[2J\\x1b]0;owned\\x07[bold red]markup[/]" in ui.text()

    use(shop.store, (200, 50), steps)


def test_a_group_is_reset_only_after_it_was_confirmed(shop: CommandLine, filled: EventLog) -> None:
    group, partition = filled.group("billing"), TopicPartition("orders", 0)

    async def steps(ui: Ui) -> None:
        await ui.press("tab", "enter")
        assert isinstance(ui.app.screen, GroupScreen)
        assert "COMMITTED" in ui.text() and "lag" in ui.text()
        await ui.press("r")
        assert isinstance(ui.app.screen, ResetScreen)
        await ui.type("soon")
        assert "is not a time" in ui.text()
        await ui.type("+1")
        assert "BEFORE" in ui.text() and "nothing was changed yet" in ui.text()
        await ui.press("escape")
        assert isinstance(ui.app.screen, GroupScreen)
        assert group.committed()[partition] == 1
        await ui.press("R")
        await ui.type("latest")
        await ui.press("y")
        assert isinstance(ui.app.screen, GroupScreen)
        assert "was reset" in ui.text()
        assert group.committed()[partition] == 3

    use(shop.store, (80, 24), steps)


def test_with_read_only_nothing_is_reset(shop: CommandLine) -> None:
    async def steps(ui: Ui) -> None:
        ui.app.push_screen(GroupScreen("billing"))
        await ui.settle()
        await ui.press("r")
        await ui.type("latest")
        await ui.press("y")
        assert "nothing can be" in ui.text()

    use(shop.store, (80, 24), steps, may_write=False)
    with eventlog.open(shop.store) as log:
        assert log.group("billing").committed() == {TopicPartition("orders", 0): 1}


def test_what_is_gone_is_said_in_a_line(shop: CommandLine, filled: EventLog) -> None:
    async def steps(ui: Ui) -> None:
        ui.app.push_screen(TopicScreen("page-views"))
        await ui.settle()
        filled.delete_topic("page-views")
        ui.app.sample()
        await ui.settle()
        assert "page-views" in ui.text() and "no topic" in ui.text()

    use(shop.store, (80, 24), steps)


def test_a_resize_uses_the_new_width(shop: CommandLine, filled: EventLog) -> None:
    async def steps(ui: Ui) -> None:
        for columns, lines in [(200, 50), (40, 10)]:
            await ui.pilot.resize_terminal(columns, lines)
            await ui.settle()
            assert ("LAST" in ui.text()) == (columns == 200)

    use(shop.store, (80, 24), steps)


def test_keys_are_explained_and_sort(shop: CommandLine, filled: EventLog) -> None:
    async def steps(ui: Ui) -> None:
        await ui.press("question_mark")
        assert "reset the group" in ui.text()
        await ui.press("escape", "s")
        assert "by rate" in ui.text()
        await ui.press("q")

    use(shop.store, (80, 24), steps)


# --- as a program -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("key", "status"), [(b"q", 0), (b"\x03", 130), (signal.SIGTERM, 143)])
def test_the_terminal_is_put_back(shop: CommandLine, key: bytes | signal.Signals, status: int) -> None:
    terminal = Terminal(shop, command=("ui",))
    try:
        terminal.read_until("billing")
        if isinstance(key, bytes):
            terminal.press(key)
        else:
            terminal.process.send_signal(key)
        assert terminal.end() == status
        assert terminal.modes() == terminal.modes_before
        assert "\x1b[?1049l" in terminal.shown
    finally:
        terminal.close()


def test_without_a_terminal_it_says_what_to_use_instead(shop: CommandLine) -> None:
    assert "top --once" in shop.error("ui", status=2)


def test_without_textual_the_error_names_the_extra(shop: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "textual.py").write_text("raise ModuleNotFoundError(\"No module named 'textual'\", name='textual')")
    terminal = Terminal(shop, command=("ui",), variables={"PYTHONPATH": str(tmp_path)})
    try:
        assert terminal.end() == 1
        assert "pip install 'eventlog-store[ui]'" in terminal.shown
    finally:
        terminal.close()

