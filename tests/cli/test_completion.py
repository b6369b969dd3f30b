"""Shell completion: what a shell gets when somebody presses the tabulator key."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

from tests.cli.command_line import PROGRAM, SECONDS_MAX, CommandLine, environment_without_store
from tests.support import programs


def completed(words: str, **variables: str) -> list[str]:
    """What bash is offered for the last of these words."""
    asked = {
        "COMP_WORDS": f"eventlog {words}",
        "COMP_CWORD": str(len(words.split(" "))),
        "_EVENTLOG_COMPLETE": "bash_complete",
    }
    done = programs.run([], {**environment_without_store(), **variables, **asked})
    assert (done.returncode, done.stderr) == (0, b"")
    return [line.split(",")[1] for line in done.stdout.decode().splitlines() if line]


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("to", ["top", "topics"]),
        ("topics des", ["describe"]),
        ("consume ", ["orders"]),
        ("consume x", []),
        ("offsets o", ["orders"]),
        ("topics describe ", ["orders"]),
        ("topics create ", []),
        ("groups describe b", ["billing"]),
        ("consume orders --group ", ["billing"]),
        ("consume orders --fo", ["--format", "--follow"]),
        ("topics create new --config compression.type=z", ["compression.type=zstd"]),
        ("topics create new --config retention.m", ["retention.ms="]),
        ("topics alter orders --unset retention.m", ["retention.ms"]),
        ("completion ", ["bash", "zsh", "fish"]),
    ],
)
def test_commands_options_topics_and_groups_are_offered(shop: CommandLine, words: str, offered: list[str]) -> None:
    assert completed(words, EVENTLOG_STORE=str(shop.store)) == offered


def test_the_store_may_be_named_by_option(shop: CommandLine) -> None:
    assert completed(f"--store {shop.store} consume ") == ["orders"]


def test_without_a_store_nothing_is_offered_and_nothing_said(cli: CommandLine) -> None:
    assert completed("consume ") == []
    assert completed("consume ", EVENTLOG_STORE=str(cli.store)) == []
    assert not cli.store.exists()
    cli.store.write_bytes(b"not a store")
    assert completed("consume ", EVENTLOG_STORE=str(cli.store)) == []


def test_bash_takes_the_script_and_completes_with_it(shop: CommandLine) -> None:
    bash = shutil.which("bash")
    assert bash is not None
    script = (
        'eval "$(eventlog completion bash)"; COMP_WORDS=(eventlog consume o); COMP_CWORD=2; '
        '_eventlog_completion eventlog; echo "${COMPREPLY[@]}"'
    )
    environment = {**shop.environment(), "PATH": f"{PROGRAM.parent}:{os.environ['PATH']}"}
    done = subprocess.run([bash, "--norc", "-c", script], env=environment, capture_output=True, text=True, timeout=SECONDS_MAX)
    assert (done.stdout, done.stderr) == ("orders\n", "")


def test_a_shell_that_is_not_known_is_wrong_usage(cli: CommandLine) -> None:
    assert "bash" in cli.error("completion", "tcsh", status=2)
