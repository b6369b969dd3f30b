"""`eventlog bench`: what it shows, and what it leaves behind."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
from pathlib import Path

import pytest

from tests.cli.command_line import PROGRAM, SECONDS_MAX, CommandLine
from tests.cli.test_produce import read_terminal

SHORT = ("bench", "--seconds", "0.05")


def test_every_work_has_a_rate_of_eventlog_and_of_sqlite(cli: CommandLine) -> None:
    rows = cli.objects(*SHORT, "--json")
    assert len({row["work"] for row in rows}) == len(rows) > 3
    assert {row["survives"] for row in rows} == {"process", "disk"}
    assert all(row["eventlog"] > 0 and row["sqlite"] > 0 for row in rows)
    assert any(row["file"] is None for row in rows) and any(row["file"] for row in rows)


def test_the_table_has_the_same_rows(cli: CommandLine) -> None:
    rows = cli.objects(*SHORT, "--json")
    header, *lines = cli.output(*SHORT).splitlines()
    assert "EVENTLOG" in header
    assert [line.startswith(row["work"]) for line, row in zip(lines, rows, strict=True)] == [True] * len(rows)


def test_it_needs_no_store_and_leaves_nothing(cli: CommandLine, tmp_path: Path) -> None:
    cli.output(*SHORT)  # in the current directory, which is tmp_path
    assert list(tmp_path.iterdir()) == []


def test_it_measures_in_the_directory_and_leaves_nothing_when_interrupted(cli: CommandLine, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    process = cli.start("bench", "--seconds", "600", "--directory", elsewhere)
    while not list(elsewhere.glob("*/*")):
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    assert process.wait(SECONDS_MAX) == 130
    assert list(elsewhere.iterdir()) == []


def test_a_directory_that_is_not_there_is_wrong_usage(cli: CommandLine) -> None:
    assert "nowhere" in cli.error("bench", "--directory", "nowhere", status=2)


@pytest.mark.parametrize("size", [1, 10_000])
def test_values_may_be_small_or_large(cli: CommandLine, size: int) -> None:
    assert all(row["eventlog"] > 0 for row in cli.objects(*SHORT, "--bytes", str(size), "--json"))


def test_a_terminal_is_shown_how_far_it_is_and_the_table_stays_clean(cli: CommandLine) -> None:
    mine, theirs = pty.openpty()
    process = subprocess.Popen(
        [PROGRAM, *SHORT], env={**cli.environment(), "TERM": "xterm"}, stdout=subprocess.PIPE, stderr=theirs
    )
    os.close(theirs)
    shown = read_terminal(mine)
    os.close(mine)
    table = process.communicate(timeout=SECONDS_MAX)[0]
    assert process.returncode == 0
    assert "━".encode() in shown
    assert b"\x1b" not in table and b"append one by one" in table
