"""What most tests of commands run is a fork that has imported the program: it says what the program says, with its status."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.command_line import SECONDS_MAX, CommandLine
from tests.cli.commands import every_leaf_as_a_program, identifier
from tests.cli.test_every_command import WORKING


def both(shop: CommandLine, *arguments: str) -> list[tuple[int, bytes, bytes]]:
    """Status, output and errors of the program, and of a fork, each in a store as `shop` has it."""
    here = Path.cwd()
    kept = here.with_name(f"{here.name}-kept")
    shutil.copytree(here, kept)
    ends = []
    for run in (
        lambda: shop.run_program(*arguments, input=b"a line\n"),
        lambda: shop.run(*arguments, stdin=b"a line\n"),
    ):
        shutil.rmtree(here)
        shutil.copytree(kept, here)
        os.chdir(here)
        done = run()
        ends.append((done.returncode, done.stdout, done.stderr))
    return ends


def without_numbers(text: bytes) -> bytes:
    return re.sub(rb"(?:[0-9.,]+(?: [a-zA-Z]+)?|\s)+", b"#", text)


@every_leaf_as_a_program
def test_a_fork_prints_what_the_program_prints(shop: CommandLine, path: tuple[str, ...]) -> None:
    program, fork = both(shop, *path, *WORKING[path])
    assert (program[0], program[2]) == (fork[0], fork[2]) == (0, b"")
    assert without_numbers(program[1]) == without_numbers(fork[1])


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (("consume", "orders", "--json"), 0),
        (("dump", "orders/0", "--records", "--json"), 0),
        (("groups", "export", "billing"), 0),
        (("offsets", "orders", "--json"), 0),
        (("grep", "no such thing", "orders"), 3),
        (("consume", "nothing"), 1),
        (("topics", "create", "orders"), 1),
        (("topics", "create", "no\nname"), 1),
        (("groups", "reset", "billing"), 2),
        (("consume", "orders", "--no-such-option"), 2),
        ((), 0),
        (("--help",), 0),
        (("topics", "alter", "--help"), 0),
        (("--version",), 0),
    ],
    ids=identifier,
)
def test_a_fork_ends_as_the_program_ends_byte_for_byte(shop: CommandLine, arguments: tuple[str, ...], status: int) -> None:
    program, fork = both(shop, *arguments)
    assert program == fork
    assert program[0] == status


def test_without_the_packages_of_the_command_line_the_error_says_how_to_install_them() -> None:
    program = "import sys; sys.modules['click'] = None; from eventlog.__main__ import main; main()"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=SECONDS_MAX)
    assert done.returncode == 1
    assert done.stderr == "eventlog: the command line needs click, which is not installed: pip install 'eventlog-store[cli]'\n"
