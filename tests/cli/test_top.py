"""`eventlog top`: one look as text or JSON, and the screen."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

import eventlog
from tests.cli.command_line import PROGRAM, SECONDS_MAX, CommandLine
from tests.support import namespaces

_SHOWN_MAX = 200_000  # many screens; what is to be seen stands on one of the first
_STYLE = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


class Terminal:
    """A terminal of a given size with `eventlog top`, or another command, on it."""

    def __init__(
        self,
        command_line: CommandLine,
        columns: int = 80,
        lines: int = 24,
        *,
        keyboard: bool = True,
        prefix: tuple[str, ...] = (),
        command: tuple[str, ...] = ("top", "--interval", "0.3"),
        variables: Mapping[str, str] = {},
    ) -> None:
        self._mine, self._theirs = pty.openpty()
        self.resize(columns, lines)
        self.modes_before = self.modes()
        environment = {k: v for k, v in command_line.environment().items() if k not in ("COLUMNS", "LINES", "NO_COLOR")}
        self.process = subprocess.Popen(
            [*prefix, PROGRAM, *command],
            env={**environment, "TERM": "xterm", **variables},
            stdin=self._theirs if keyboard else subprocess.DEVNULL,
            stdout=self._theirs,
            stderr=self._theirs,
            start_new_session=True,
        )
        self.shown = ""

    def resize(self, columns: int, lines: int) -> None:
        fcntl.ioctl(self._theirs, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def modes(self) -> list[Any]:
        return termios.tcgetattr(self._theirs)

    def press(self, key: bytes) -> None:
        os.write(self._mine, key)

    def read_until(self, text: str) -> None:
        """Read on until this was shown anew."""
        self.shown = ""
        while text not in self.shown:
            ready, _, _ = select.select([self._mine], [], [], SECONDS_MAX)
            assert ready and len(self.shown) < _SHOWN_MAX, self.shown
            self.shown += os.read(self._mine, 65536).decode("utf-8", "ignore")

    def frame(self) -> list[str]:
        """The lines of the whole screen that was read last, without what is on the right of them."""
        self.read_until("q quits")
        self.read_until("q quits")
        return [_STYLE.sub("", line).rstrip() for line in self.shown.split("eventlog top", 1)[-1].split("\r\n")]

    def end(self) -> int:
        """Wait for the end; return the status. What was left to read is in `shown`."""
        self.shown = ""
        while self.process.poll() is None or select.select([self._mine], [], [], 0)[0]:
            if select.select([self._mine], [], [], 0.05)[0]:
                self.shown += os.read(self._mine, 65536).decode("utf-8", "ignore")
        return self.process.returncode

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._mine)
        os.close(self._theirs)


@pytest.fixture
def terminals() -> Iterator[list[Terminal]]:
    opened: list[Terminal] = []
    yield opened
    for terminal in opened:
        terminal.close()


def fill(command_line: CommandLine, topics: int, name: str = "topic-{:02}") -> None:
    with eventlog.open(command_line.store) as log:
        for number in range(topics):
            log.create_topic(name.format(number))


def test_one_look_as_text(shop: CommandLine) -> None:
    words = [line.split() for line in shop.output("top", "--once", "--interval", "0.1").splitlines()]
    assert words[0] == ["TOPIC", "PARTITIONS", "RECORDS", "SIZE", "RECORDS/S", "BYTES/S"]
    assert words[1][:3] == ["orders", "2", "3"] and words[1][-3:] == ["0", "0", "B"]
    assert words[3:] == [["GROUP", "MEMBERS", "LAG", "RECORDS/S", "CATCH", "UP"], ["billing", "0", "2", "0", "-"]]


def test_without_a_terminal_it_is_one_look(shop: CommandLine) -> None:
    assert "orders" in shop.output("top", "--interval", "0.1")


def test_a_look_sorts_topics_and_groups_by_what_they_do(shop: CommandLine) -> None:
    process = shop.start("top", "--json", "--interval", "0.1")
    assert process.stdout is not None
    assert [topic["topic"] for topic in json.loads(process.stdout.readline())["topics"]] == ["orders"]
    with eventlog.open(shop.store) as log:
        log.create_topic("apples")
        log.create_topic("pears")
        json.loads(process.stdout.readline())
        while True:  # the first look with records that came since the one before
            log.partition("pears", 0).append(b"x")
            look = json.loads(process.stdout.readline())
            if [topic["topic"] for topic in look["topics"]] == ["pears", "apples", "orders"]:
                break
    assert look["topics"][0]["records_per_second"] > 0


@pytest.mark.parametrize(
    ("order", "names"),
    [("name", ["apples", "orders", "pears"]), ("size", ["orders", "pears", "apples"]), ("rate", ["apples", "orders", "pears"])],
)
def test_a_snapshot_is_sorted_as_wanted(shop: CommandLine, order: str, names: list[str]) -> None:
    with eventlog.open(shop.store) as log:
        log.create_topic("apples")
        log.create_topic("pears")
        log.partition("pears", 0).append(b"x")
    [snapshot] = shop.objects("top", "--json", "--once", "--interval", "0.1", "--sort", order)
    assert [topic["topic"] for topic in snapshot["topics"]] == names


def test_json_ends_when_nobody_reads_it(shop: CommandLine) -> None:
    process = shop.start("top", "--json", "--interval", "0.1")
    assert process.stdout is not None and process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(timeout=SECONDS_MAX) == 0
    assert process.stderr.read() == b""


def test_json_ends_at_once_when_nobody_reads_it_between_two_looks(shop: CommandLine) -> None:
    process = shop.start("top", "--json", "--interval", "3600")
    assert process.stdout is not None
    process.stdout.close()
    assert process.wait(timeout=SECONDS_MAX) == 0


def test_ctrl_c_ends_json(shop: CommandLine) -> None:
    process = shop.start("top", "--json", "--interval", "0.1")
    assert process.stdout is not None and process.stderr is not None
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=SECONDS_MAX) == 130
    assert process.stderr.read() == b""


@pytest.mark.parametrize("seconds", ["0", "-1", "soon", "nan", "4000"])
def test_an_interval_that_cannot_be_is_wrong_usage(shop: CommandLine, seconds: str) -> None:
    assert "--interval" in shop.error("top", "--interval", seconds, status=2)


def test_the_screen_fits_80_columns_and_24_lines(shop: CommandLine, terminals: list[Terminal]) -> None:
    fill(shop, 40, "a-topic-with-quite-a-long-name-" * 4 + "{:02}")
    terminals.append(terminal := Terminal(shop))
    lines = terminal.frame()
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 80
    assert any(line.startswith("billing") for line in lines)
    assert any(re.match(r"and [0-9]+ more", line) for line in lines)
    assert any(line.startswith("a-topic-with") and "…" in line for line in lines)


@pytest.mark.parametrize(("columns", "lines"), [(80, 24), (120, 60), (40, 8), (10, 3)])
def test_the_screen_adapts_to_its_size(shop: CommandLine, terminals: list[Terminal], columns: int, lines: int) -> None:
    fill(shop, 30)
    terminals.append(terminal := Terminal(shop, 100, 30))
    terminal.frame()
    terminal.resize(columns, lines)
    shown = sum("topic-" in line for line in terminal.frame()) if lines > 6 else None
    if lines == 60:
        assert shown == 30
    elif lines == 24:
        assert shown and shown < 30
    terminal.press(b"q")
    assert terminal.end() == 0


def test_keys_change_the_order(shop: CommandLine, terminals: list[Terminal]) -> None:
    fill(shop, 3)
    terminals.append(terminal := Terminal(shop))
    terminal.read_until("q quits")
    terminal.press(b"n")
    terminal.read_until("by name")
    names = ["orders", "topic-00", "topic-01", "topic-02"]
    assert first_words(terminal.frame(), names) == names
    terminal.press(b"i")
    terminal.read_until("by name inverted")
    assert first_words(terminal.frame(), names) == names[::-1]


def first_words(lines: list[str], names: list[str]) -> list[str]:
    return [line.split()[0] for line in lines if line.split()[:1] and line.split()[0] in names]


def test_a_lag_has_a_colour_and_a_wide_screen_shows_the_past(
    shop: CommandLine, terminals: list[Terminal]
) -> None:
    terminals.append(terminal := Terminal(shop, 200, 50))
    lines = terminal.frame()
    assert max(map(len, lines)) <= 200
    [headers] = [line for line in lines if line.startswith("GROUP")]
    [billing] = [line for line in lines if line.startswith("billing")]
    assert "LAST" in headers and billing.endswith("█") and len(billing) > 150
    assert re.search(r"\x1b\[31m *2", terminal.shown)  # a lag that does not shrink is red
    terminal.resize(60, 24)
    terminal.frame()  # may be from before
    lines = terminal.frame()
    assert max(map(len, lines)) <= 60 and "LAST" not in "".join(lines)


@pytest.mark.parametrize(
    ("signal_number", "status"), [(None, 0), (signal.SIGINT, 130), (signal.SIGTERM, -15), (signal.SIGHUP, -1)]
)
def test_the_terminal_is_put_back_on_every_end(
    shop: CommandLine, terminals: list[Terminal], signal_number: signal.Signals | None, status: int
) -> None:
    terminals.append(terminal := Terminal(shop))
    terminal.read_until("q quits")
    assert terminal.modes() != terminal.modes_before
    if signal_number is None:
        terminal.press(b"xq")
    else:
        terminal.process.send_signal(signal_number)
    assert terminal.end() == status
    assert terminal.modes() == terminal.modes_before
    assert terminal.shown.endswith("\x1b[?25h\x1b[?1049l")  # the cursor and the first screen are back


def test_process_1_of_a_container_puts_the_terminal_back(shop: CommandLine, terminals: list[Terminal]) -> None:
    """The kernel drops the signals for which this process has no handler, also when it sends them to itself."""
    if refused := namespaces.refusal(namespaces.OTHER_PROCESSES):
        pytest.skip(refused)
    terminals.append(terminal := Terminal(shop, prefix=("unshare", *namespaces.OTHER_PROCESSES)))
    terminal.read_until("q quits")
    parent = terminal.process.pid
    os.kill(int(Path(f"/proc/{parent}/task/{parent}/children").read_text()), signal.SIGTERM)
    assert terminal.end() == 130
    assert terminal.modes() == terminal.modes_before


def test_without_a_keyboard_the_screen_goes_on(shop: CommandLine, terminals: list[Terminal]) -> None:
    terminals.append(terminal := Terminal(shop, keyboard=False))
    terminal.frame()
    terminal.process.send_signal(signal.SIGINT)
    assert terminal.end() == 130
