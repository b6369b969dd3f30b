"""docs/logging.md lists each message that the library logs, with its logger and its level."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.test_examples import blocks, run

ROOT = Path(__file__).resolve().parents[2]
LEVELS = {"debug", "info", "warning", "error", "exception", "critical"}
MAKERS = {"logger": "eventlog.", "logging.getLogger": ""}

Row = tuple[str, str, str]


def documented() -> list[Row]:
    page = (ROOT / "docs/logging.md").read_text("utf-8")
    return re.findall(r"^\| `(eventlog[^`]*)` \| (\w+) \| `([^`]+)` \|", page, re.MULTILINE)


def loggers_of(module: ast.Module) -> dict[str, str]:
    """The names of a module's variables that are loggers, and the loggers' names."""
    found = {}
    for node in ast.walk(module):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call) and node.value.args:
            maker, target, argument = ast.unparse(node.value.func), node.targets[0], node.value.args[0]
            if maker in MAKERS and isinstance(target, ast.Name) and isinstance(argument, ast.Constant):
                found[target.id] = f"{MAKERS[maker]}{argument.value}"
    return found


@functools.cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


def logged(path: Path) -> Iterator[Row]:
    module = parsed(path)
    loggers = loggers_of(module)
    for node in ast.walk(module):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Name):
            name, level = node.func.value.id, node.func.attr
            if name in loggers and level in LEVELS:
                message = node.args[0]
                assert isinstance(message, ast.Constant), f"{path}:{node.lineno}: write the message as a literal"
                yield loggers[name], level, str(message.value)


def test_each_message_is_documented_and_nothing_else() -> None:
    in_code = {row for path in (ROOT / "eventlog").rglob("*.py") for row in logged(path)}
    rows = documented()
    assert len(in_code) > 30
    assert in_code - set(rows) == set(), "docs/logging.md lacks these"
    assert set(rows) - in_code == set(), "nothing logs these"
    assert len(rows) == len(set(rows))


def test_no_module_has_a_logger_of_another_name() -> None:
    for path in (ROOT / "eventlog").rglob("*.py"):
        names = loggers_of(parsed(path)).values()
        assert all(name == "eventlog" or name.startswith("eventlog.") for name in names), path


@pytest.mark.parametrize("text", [text for language, text in blocks("docs/logging.md") if language == "python"])
def test_the_example_runs(text: str, tmp_path: Path) -> None:
    run("python", text, tmp_path)
