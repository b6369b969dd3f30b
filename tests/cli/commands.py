"""All commands of the program, found by walking it, so that a new one cannot be forgotten."""

from __future__ import annotations

from collections.abc import Iterator

import click
import pytest

from eventlog.cli import group
from tests.support.slow import slowly


def _walk(command: click.Command, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            assert child is not None
            yield from _walk(child, (*path, name))


EVERY_COMMAND = dict(_walk(group, ()))
LEAF_COMMANDS = {
    path: command
    for path, command in EVERY_COMMAND.items()
    if not isinstance(command, click.Group) or command.invoke_without_command
}
NEEDS_A_CLUSTER = {("mirror",)}  # of Kafka, and a client: tests/interop/test_kafka_mirror.py
NEEDS_SOMEBODY = {("ui",), ("web",)}  # at a keyboard or a browser: test_ui.py, test_web.py
OF_A_STORE = {path: command for path, command in LEAF_COMMANDS.items() if path not in NEEDS_A_CLUSTER | NEEDS_SOMEBODY}


def identifier(value: object) -> str:
    """How pytest shows a command's path."""
    return "-".join(value) or "eventlog" if isinstance(value, tuple) else str(value)


# The program itself takes a while to start: the others are tried by `make test-slow`.
_WRITING_MOST = [("consume",), ("groups", "export"), ("topics", "list")]
every_leaf_as_a_program = pytest.mark.parametrize(
    "path", [*_WRITING_MOST, *slowly(*(path for path in OF_A_STORE if path not in _WRITING_MOST))], ids=identifier
)
