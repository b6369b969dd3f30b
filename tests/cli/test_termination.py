"""SIGTERM does what Ctrl-C does, also to process 1 of a container."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path
from subprocess import PIPE

import pytest

import eventlog
from tests.cli.command_line import PROGRAM, CommandLine
from tests.support import namespaces

SECONDS_MAX = 60
FOLLOWING = [
    ("consume", "orders", "--follow", "--partition", "0", "--format", "{offset}"),
    ("consume", "orders", "--follow", "--group", "others", "--format", "{offset}"),
]
every_follower = pytest.mark.parametrize("command", FOLLOWING, ids=["alone", "in a group"])


def lines(process: subprocess.Popen[bytes], count: int) -> list[bytes]:
    assert process.stdout is not None
    return [process.stdout.readline() for _ in range(count)]


@every_follower
def test_a_command_that_waits_ends_in_good_order(shop: CommandLine, command: tuple[str, ...]) -> None:
    process = shop.start(*command)
    assert lines(process, 3) == [b"0\n", b"1\n", b"2\n"]
    process.terminate()
    assert process.communicate(timeout=SECONDS_MAX) == (b"", b"")
    assert process.returncode == 143
    check_left(shop.store)


@every_follower
def test_process_1_ends_in_good_order(shop: CommandLine, command: tuple[str, ...]) -> None:
    if refused := namespaces.refusal(namespaces.OTHER_PROCESSES):
        pytest.skip(refused)
    started = ["unshare", *namespaces.OTHER_PROCESSES, PROGRAM, *command]
    with subprocess.Popen(started, env=shop.environment(), stdout=PIPE, stderr=PIPE) as process:
        assert lines(process, 3) == [b"0\n", b"1\n", b"2\n"]
        os.kill(int(Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()), signal.SIGTERM)
        assert process.communicate(timeout=SECONDS_MAX) == (b"", b"")
        assert process.returncode == 143
    check_left(shop.store)


def test_what_was_given_to_produce_is_appended(shop: CommandLine) -> None:
    process = shop.start("produce", "orders", "--partition", "0")
    assert process.stdin is not None
    process.stdin.write(b"one more\n")
    with eventlog.open(shop.store) as log:
        assert log.partition("orders", 0).wait(3, timeout=SECONDS_MAX)
    process.terminate()
    assert process.wait(SECONDS_MAX) == 143


def check_left(store: Path) -> None:
    with eventlog.open(store) as log:
        assert log.partition("orders", 0).recovery.outcome == "trusted"
        assert all(group.members == () for group in log.describe_groups())
        if "others" in log.groups():
            assert list(log.group("others").committed().values()) == [3]
