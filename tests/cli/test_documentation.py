"""docs/cli.md describes every command and option, and its JSON is what the commands print."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.cli.command_line import CommandLine
from tests.cli.commands import LEAF_COMMANDS, identifier

PAGE = (Path(__file__).parents[2] / "docs" / "cli.md").read_text()
SECTIONS = dict(re.findall(r"^## `eventlog ([^`]+)`\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE))

every_leaf = pytest.mark.parametrize("path", list(LEAF_COMMANDS), ids=identifier)


def documented_objects(path: tuple[str, ...]) -> list[dict[str, Any]]:
    blocks = re.findall(r"```json\n(.*?)```", SECTIONS[" ".join(path)], re.DOTALL)
    return [json.loads(line) for block in blocks for line in block.splitlines()]


def test_every_section_is_a_command() -> None:
    assert set(SECTIONS) == {" ".join(path) for path in LEAF_COMMANDS}


@every_leaf
def test_every_option_is_documented(path: tuple[str, ...]) -> None:
    section = SECTIONS[" ".join(path)]
    for parameter in LEAF_COMMANDS[path].params:
        for option in parameter.opts:
            if option.startswith("--"):
                assert re.search(rf"^\| `{option}\b", section, re.MULTILINE), option


@every_leaf
def test_every_option_that_is_documented_is_there(path: tuple[str, ...]) -> None:
    options = {option for parameter in LEAF_COMMANDS[path].params for option in parameter.opts}
    assert set(re.findall(r"^\| `(--[a-z-]+)", SECTIONS[" ".join(path)], re.MULTILINE)) <= options


@pytest.mark.parametrize(
    ("path", "arguments"),
    [
        (("topics", "list"), ()),
        (("topics", "describe"), ("orders",)),
        (("topics", "alter"), ("orders", "--partitions", "3")),
        (("topics", "delete"), ("orders",)),
        (("delete-records",), ("orders", "--before", "latest")),
        (("maintain",), ()),
        (("produce",), ("orders",)),
        (("consume",), ("orders",)),
        (("consume",), ("orders", "--count")),
        (("grep",), ("first", "orders")),
        (("grep",), ("first", "orders", "--count")),
        (("export",), ("orders", "--to", "exported.jsonl")),
        (("sql",), ("from orders",)),
        (("sql",), ("from orders", "--to", "rows.jsonl")),
        (("offsets",), ("orders",)),
        (("offsets",), ("orders", "--time", "2000")),
        (("offsets",), ()),
        (("groups", "list"), ()),
        (("top",), ("--once", "--interval", "0.1")),
        (("metrics",), ()),
        (("completion",), ("zsh",)),
        (("bench",), ("--seconds", "0.05")),
        (("groups", "describe"), ("billing",)),
        (("groups", "import"), ("billing", "offsets.jsonl")),
        (("groups", "copy"), ("billing", "copied")),
        (("groups", "delete-offsets"), ("billing", "--topic", "orders")),
        (("groups", "undo"), ("billing",)),
        (("groups", "history"), ("billing",)),
        (("groups", "export"), ("billing",)),
        (("groups", "reset"), ("billing", "--all-topics", "--to", "latest")),
        (("groups", "delete"), ("billing",)),
        (("dump",), ("orders/0", "--records")),
        (("dump",), ("orders/0", "--time-index")),
        (("dump",), ("orders/0", "--time-index", "--check")),
        (("dump",), ("orders/0", "--epochs")),
        (("verify",), ()),
        (("verify",), ("--backup", "backup")),
        (("backup",), ("new-backup",)),
        (("restore",), ("backup", "restored")),
        (("repair",), ("orders/0",)),
        (("doctor",), ()),
        (("ship",), ("orders", "--to", "eventlog:store#copied", "--create", "1", "--until-idle", "0")),
        (("collect",), ("orders", "--from", "eventlog:store#more", "--create", "1", "--until-idle", "0")),
        (("serve", "users", "list"), ()),
        (("serve", "users", "add"), ("bob", "--password-file", __file__)),
        (("serve", "users", "alter"), ("alice", "--role", "admin")),
        (("serve", "users", "delete"), ("alice",)),
        (("serve",), ("--listen", "127.0.0.1:0", "--stop-when-idle", "0")),
    ],
)
def test_what_is_printed_has_the_documented_members(
    shop: CommandLine, path: tuple[str, ...], arguments: tuple[str, ...]
) -> None:
    documented = [set(item) for item in documented_objects(path)]
    printed = shop.objects(*path, *arguments, "--json", stdin=b"a line\n")
    assert printed
    for item in printed:
        assert set(item) in documented
