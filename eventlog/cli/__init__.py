"""The `eventlog` command: its group, and what becomes of errors.

Exit status: 0 done, 1 the operation failed, 2 wrong usage, 130 interrupted. An error is one line on standard
error.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import click

from eventlog.cli import output
from eventlog.cli.backup import backup, restore
from eventlog.cli.consume import consume
from eventlog.cli.delete_records import delete_records
from eventlog.cli.doctor import doctor
from eventlog.cli.dump import dump
from eventlog.cli.grep import grep
from eventlog.cli.groups import groups
from eventlog.cli.maintain import maintain
from eventlog.cli.offsets import offsets
from eventlog.cli.produce import produce
from eventlog.cli.repair import repair
from eventlog.cli.topics import topics
from eventlog.cli.verify import verify
from eventlog.errors import EventLogError

STATUS_FAILED = 1
STATUS_USAGE = 2
STATUS_INTERRUPTED = 130


class _EventLogGroup(click.Group):
    """The commands, with a common end: output is flushed, a closed pipe is quiet, Ctrl-C has one status."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            try:
                return super().invoke(ctx)
            finally:
                output.flush()
        except BrokenPipeError:
            output.discard()
            raise click.exceptions.Exit(0) from None
        except KeyboardInterrupt:
            raise click.exceptions.Exit(STATUS_INTERRUPTED) from None


@click.group(
    name="eventlog",
    cls=_EventLogGroup,
    no_args_is_help=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80},
)
@click.option(
    "--store",
    metavar="DIR",
    envvar="EVENTLOG_STORE",
    show_envvar=True,
    help="Directory of the store. Stands before the command.",
)
@click.version_option(package_name="eventlog", message="%(prog)s %(version)s")
def group(store: str | None) -> None:
    """Write, read and inspect a store of event streams.

    \b
    Example:
      export EVENTLOG_STORE=shop
      eventlog topics create orders
      echo hello | eventlog produce orders
      eventlog consume orders
    """


for _command in (
    topics, produce, consume, grep, offsets, groups, dump, verify, delete_records, maintain, backup, restore, repair, doctor,
):  # fmt: skip
    group.add_command(_command)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit. The entry point of the `eventlog` program."""
    _open_standard_descriptors()
    sys.exit(_run(arguments))


def _run(arguments: Sequence[str] | None) -> int:
    """Run the command line and return its exit status, with every error told in one line."""
    try:
        status = group.main(args=arguments, prog_name="eventlog", standalone_mode=False)
        return status if isinstance(status, int) else 0
    except (KeyboardInterrupt, click.Abort):
        return STATUS_INTERRUPTED
    except click.UsageError as error:
        _report(_usage_text(error))
        return STATUS_USAGE
    except click.ClickException as error:
        _report(error.format_message())
        return error.exit_code
    except Exception as error:
        if os.environ.get("EVENTLOG_TRACEBACK"):
            raise
        _report(_failure_text(error))
        return STATUS_FAILED


def _usage_text(error: click.UsageError) -> str:
    command = error.ctx.command_path if error.ctx is not None else "eventlog"
    text = error.format_message().rstrip(".")
    if isinstance(error, click.NoSuchOption) and error.option_name == "--store":
        text = "--store stands before the command, as in 'eventlog --store DIR COMMAND'"
    if isinstance(error, click.NoSuchOption) and error.option_name == "--json" and command == "eventlog":
        text = "--json stands behind the command, as in 'eventlog topics list --json'"
    return f"{text} (see '{command} --help')"


def _failure_text(error: Exception) -> str:
    if isinstance(error, EventLogError):
        return str(error)
    if isinstance(error, OSError) and error.strerror:
        where = f"{os.fsdecode(error.filename)}: " if isinstance(error.filename, (str, bytes)) else ""
        return where + error.strerror
    if isinstance(error, MemoryError):
        return "out of memory"
    return f"unexpected {type(error).__name__}: {error} (EVENTLOG_TRACEBACK=1 shows where)"


def _report(message: str) -> None:
    if sys.stderr is not None:
        print(f"eventlog: {output.printable(' '.join(message.split()))}", file=sys.stderr)


def _open_standard_descriptors() -> None:
    """Make sure that descriptors 0 to 2 are open, so that no file of the store becomes standard output."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(descriptor)
