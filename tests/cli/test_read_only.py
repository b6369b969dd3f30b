"""`--read-only`: what looks works, what changes is refused, and in either case nothing is changed."""

from __future__ import annotations

import pytest

from tests.cli.command_line import CommandLine
from tests.cli.commands import identifier
from tests.cli.test_every_command import NEEDS_NO_STORE, WORKING
from tests.unit.test_read_only import state

LOOKS = {
    ("topics", "list"), ("topics", "describe"), ("consume",), ("grep",), ("export",), ("offsets",), ("groups", "list"),
    ("groups", "describe"), ("groups", "export"), ("groups", "history"), ("transactions", "list"), ("transactions", "describe"),
    ("sql",), ("top",), ("metrics",), ("dump",), ("verify",), ("doctor",), ("serve", "users", "list"),
    ("transactions", "abort"),  # there is none to abort
}  # fmt: skip
SHOWN_FIRST = {  # what would be done is shown without --execute
    ("topics", "delete"), ("delete-records",), ("groups", "reset"), ("groups", "copy"), ("groups", "import"),
    ("groups", "delete-offsets"), ("groups", "undo"),
}  # fmt: skip
CHANGES = set(WORKING) - LOOKS - NEEDS_NO_STORE - SHOWN_FIRST


@pytest.mark.parametrize("path", sorted(LOOKS), ids=identifier)
def test_a_command_that_looks(shop: CommandLine, path: tuple[str, ...]) -> None:
    before = state(shop.store)
    done = shop.run("--read-only", *path, *WORKING[path])
    assert (done.returncode, done.stderr, done.stdout != b"") == (0, b"", True)
    assert state(shop.store) == before


@pytest.mark.parametrize("path", sorted(CHANGES), ids=identifier)
def test_a_command_that_changes(shop: CommandLine, path: tuple[str, ...]) -> None:
    before = state(shop.store)
    error = shop.run("--read-only", *path, *WORKING[path], stdin=b"a line\n")
    assert error.returncode == 1
    assert b"read only" in error.stderr
    assert len(error.stderr.splitlines()) == 1
    assert state(shop.store) == before


@pytest.mark.parametrize("path", sorted(SHOWN_FIRST), ids=identifier)
def test_what_would_be_changed_is_shown_but_not_done(shop: CommandLine, path: tuple[str, ...]) -> None:
    before = state(shop.store)
    assert shop.output("--read-only", *path, *WORKING[path])
    assert "read only" in shop.error("--read-only", *path, *WORKING[path], "--execute")
    assert state(shop.store) == before
