"""`eventlog doctor`: what is wrong with a store, and which command helps."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import click

from eventlog.cli import output
from eventlog.cli.store import mode, store_directory

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eventlog import Finding

_WIDTH = 80
_INDENT = "  "


@click.command()
@click.option("--deep", is_flag=True, help="Also verify every byte.")
@output.json_option
def doctor(deep: bool, as_json: bool) -> None:
    """Check the store, and say what is wrong and which command helps.

    Works while other processes use the store, and even if it cannot be opened. Repairs nothing. The exit status is 1 if
    there are errors; warnings and notes do not count.

    \b
    Example:
      eventlog doctor
      eventlog doctor --deep
    """
    import eventlog

    directory = store_directory()
    findings = eventlog.diagnose(directory, deep=deep, mode=mode())
    if as_json:
        for finding in findings:
            output.write_json(
                {
                    "severity": finding.severity,
                    "subject": finding.subject,
                    "text": finding.text,
                    "command": finding.command,
                }
            )
    else:
        _write(findings)
    errors = sum(finding.severity == "error" for finding in findings)
    if errors:
        raise click.ClickException(f"{errors} {'error' if errors == 1 else 'errors'} found in {directory}")


def _write(findings: Sequence[Finding]) -> None:
    for finding in findings:
        output.write_line(output.printable(f"{finding.severity}: {finding.subject}"))
        for line in textwrap.wrap(output.printable(finding.text), _WIDTH - len(_INDENT), break_long_words=False):
            output.write_line(_INDENT + line)
        if finding.command is not None:
            output.write_line(output.printable(f"{_INDENT}try: {finding.command}"))
    if all(finding.severity == "note" for finding in findings):
        output.write_line("nothing is wrong")
