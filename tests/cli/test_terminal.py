"""What is shown on a terminal, and only there."""

from __future__ import annotations

import os
import pty
import subprocess

import pytest

from tests.cli.command_line import PROGRAM, SECONDS_MAX, CommandLine
from tests.cli.test_produce import read_terminal


@pytest.mark.parametrize("arguments", [("topics", "list"), ("offsets",), ("groups", "list"), ("verify",)])
def test_a_table_has_the_same_words_on_a_terminal_with_a_bold_header(shop: CommandLine, arguments: tuple[str, ...]) -> None:
    environment = {name: value for name, value in shop.environment().items() if name != "NO_COLOR"}
    mine, theirs = pty.openpty()
    process = subprocess.Popen([PROGRAM, *arguments], env={**environment, "TERM": "xterm", "COLUMNS": "80"}, stdout=theirs)
    os.close(theirs)
    shown = read_terminal(mine).decode()
    os.close(mine)
    assert process.wait(timeout=SECONDS_MAX) == 0
    assert "\x1b[1m" in shown
    plain = shop.output(*arguments)
    assert "\x1b" not in plain
    assert shown.replace("\x1b[1m", "").replace("\x1b[0m", "").split() == plain.split()
