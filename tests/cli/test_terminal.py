"""What is shown on a terminal, and only there."""

from __future__ import annotations

import json
import os
import pty
import subprocess

import pytest

import eventlog
from tests.cli.command_line import PROGRAM, SECONDS_MAX, CommandLine
from tests.cli.test_produce import read_terminal


def shown_on_terminal(cli: CommandLine, *arguments: str, **variables: str) -> bytes:
    """What a command that has to succeed shows on a terminal, standard error included."""
    environment = {name: value for name, value in cli.environment().items() if name != "NO_COLOR"}
    mine, theirs = pty.openpty()
    process = subprocess.Popen(
        [PROGRAM, *arguments], env={**environment, "TERM": "xterm", "COLUMNS": "80", **variables}, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    shown = read_terminal(mine)
    os.close(mine)
    assert process.wait(timeout=SECONDS_MAX) == 0, shown
    return shown


@pytest.mark.parametrize("arguments", [("topics", "list"), ("offsets",), ("groups", "list"), ("verify",)])
def test_a_table_has_the_same_words_on_a_terminal_with_a_bold_header(shop: CommandLine, arguments: tuple[str, ...]) -> None:
    shown = shown_on_terminal(shop, *arguments).decode()
    assert "\x1b[1m" in shown
    plain = shop.output(*arguments)
    assert "\x1b" not in plain
    assert shown.replace("\x1b[1m", "").replace("\x1b[0m", "").split() == plain.split()


HOSTILE = b"\x1b[2J\x1b]0;owned\x07 \xc2\x9b31m \x9b \x7f\r\x08 caf\xc3\xa9 {\"x\":\"\\u001b[2J\",\"y\":\"\xe2\x80\xae\"}"
STEERING = (b"\x1b", b"\x07", b"\xc2\x9b", b"\x9b", b"\x7f", b"\x08", b"\xe2\x80\xae")


@pytest.fixture
def hostile(cli: CommandLine) -> CommandLine:
    """A record that would steer a terminal, wherever it has bytes."""
    with eventlog.open(cli.store) as log:
        log.create_topic("t")
        log.partition("t", 0).append(HOSTILE, HOSTILE, [("\x1b[2J\x9b", HOSTILE)])
        log.partition("t", 0).append(b'{"x":"\\u001b]0;owned\x7f caf\xc3\xa9","y":{"\xe2\x80\xae":"\xc2\x9b"}}')
    return cli


@pytest.mark.parametrize(
    "arguments",
    [
        ("consume", "t"),
        ("consume", "t", "--json"),
        ("consume", "t", "--group", "g"),
        ("consume", "t", "--format", "{key} {value} {headers} {value.x} {value.y} {key:9} {value:.5} {headers.x}"),
        ("grep", "owned|x", "t"),
        ("dump", "t/0", "--records"),
        ("dump", "t/0", "--records", "--json"),
    ],
)
def test_what_a_record_holds_does_not_steer_the_terminal(hostile: CommandLine, arguments: tuple[str, ...]) -> None:
    shown = shown_on_terminal(hostile, *arguments).replace(b"\r\n", b"\n")
    shown = shown.replace(b"\x1b[1;31m", b"").replace(b"\x1b[m", b"")  # which mark what grep has found
    assert [each for each in (*STEERING, b"\r") if each in shown] == []
    assert "caf\xe9".encode() in shown and b"owned" in shown


def test_what_is_not_for_a_terminal_stays_as_it_is(hostile: CommandLine) -> None:
    assert hostile.run("consume", "t", "--last", "2").stdout.startswith(HOSTILE + b"\n")


def test_json_on_a_terminal_is_the_same_json(hostile: CommandLine) -> None:
    shown = shown_on_terminal(hostile, "consume", "t", "--json").splitlines()
    assert list(map(json.loads, shown)) == hostile.objects("consume", "t", "--json")


def test_a_template_may_steer_the_terminal_that_a_record_may_not(hostile: CommandLine) -> None:
    assert b"\x1b[31m0\x1b[0m" in shown_on_terminal(hostile, "consume", "t", "--format", r"\e[31m{offset}\e[0m")


def test_lines_and_tabs_of_a_value_stay_on_a_terminal(cli: CommandLine) -> None:
    with eventlog.open(cli.store) as log:
        log.create_topic("t")
        log.partition("t", 0).append(b"a\tb\nc\\")
    assert b"b\r\nc\\\r\n" in shown_on_terminal(cli, "consume", "t")
