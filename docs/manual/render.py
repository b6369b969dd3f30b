"""Makes the manual page `eventlog.1` from the commands' own help: `make manual`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click

from eventlog.cli import group

PAGE = Path(__file__).with_name("eventlog.1")

_STATUSES = (
    ("0", "Success, also if the reader of a pipe has ended."),
    ("1", "The operation failed: one line on standard error says why."),
    ("2", "Wrong usage."),
    ("3", "grep found nothing."),
    ("130", "Interrupted by Ctrl-C."),
)
_VARIABLES = (
    ("EVENTLOG_STORE", "The store, where --store does not name it."),
    ("EVENTLOG_KAFKA_PASSWORD", "The password for a cluster that --store names by URL."),
    ("EVENTLOG_BRIDGE_PASSWORD", "The password for the other side of ship, collect and mirror."),
    ("EVENTLOG_TRACEBACK", "If set, an unexpected error shows where it was raised."),
    ("EVENTLOG_WEB_TOKEN", "The token that browsers have to give to web."),
    ("NO_COLOR", "If set, grep does not colour what it has found, nor top the lag."),
)


def page() -> str:
    """The manual page in the language of man(7)."""
    context = click.Context(group, info_name="eventlog")
    lines = [
        ".TH EVENTLOG 1", ".SH NAME", "eventlog \\- write, read and inspect a store of event streams",
        ".SH SYNOPSIS", ".B eventlog", "[\\fB\\-\\-store\\fR \\fIDIR|URL\\fR] \\fICOMMAND\\fR [\\fIARGUMENT\\fR...]",
        ".SH DESCRIPTION", *_text(group), ".SH OPTIONS", *_options(group, context), ".SH COMMANDS",
    ]  # fmt: skip
    lines += _commands(group, context)
    lines += [".SH EXIT STATUS", *_terms(_STATUSES), ".SH ENVIRONMENT", *_terms(_VARIABLES)]
    return "\n".join(lines) + "\n"


def _commands(above: click.Group, context: click.Context) -> Iterator[str]:
    for name in above.list_commands(context):
        command = above.get_command(context, name)
        assert command is not None
        inner = click.Context(command, info_name=name, parent=context)
        if not isinstance(command, click.Group) or command.invoke_without_command:
            yield f".SS {_escaped(inner.command_path)} {_escaped(' '.join(command.collect_usage_pieces(inner)))}"
            yield from _text(command)
            yield from _options(command, inner)
        if isinstance(command, click.Group):
            yield from _commands(command, inner)


def _text(command: click.Command) -> Iterator[str]:
    """The help: paragraphs, and examples as they stand."""
    for number, paragraph in enumerate(re.split(r"\n\s*\n", command.help or "")):
        lines = paragraph.strip("\n").splitlines()
        if number > 0:
            yield ".PP"
        if lines and lines[0].strip() == "\b":
            yield from (".nf", *map(_escaped, lines[1:]), ".fi")
        else:
            yield from (_escaped(line.strip()) for line in lines)


def _options(command: click.Command, context: click.Context) -> Iterator[str]:
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is not None:
            yield from (".TP", f"\\fB{_escaped(record[0])}\\fR", _escaped(record[1]))


def _terms(terms: tuple[tuple[str, str], ...]) -> Iterator[str]:
    for term, meaning in terms:
        yield from (".TP", f"\\fB{_escaped(term)}\\fR", _escaped(meaning))


def _escaped(text: str) -> str:
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{text}" if text.startswith((".", "'")) else text


if __name__ == "__main__":
    PAGE.write_text(page())
