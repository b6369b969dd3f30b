"""The `eventlog` command: its group, and what becomes of errors.

Exit status: 0 done, 1 the operation failed, 2 wrong usage, 130 interrupted, 143 terminated. An error is one line on
standard error.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
from collections.abc import Sequence
from importlib import import_module
from types import FrameType
from typing import Any, NoReturn

import click

from eventlog import __version__
from eventlog.cli import output
from eventlog.cli.command_group import CommandGroup
from eventlog.errors import EventLogError

STATUS_FAILED = 1
STATUS_USAGE = 2
STATUS_INTERRUPTED = 130
STATUS_TERMINATED = 143

_interrupted_status = STATUS_INTERRUPTED

_OBJECTS_A_COLLECTION = 100_000  # a command makes many small objects that refer to nothing: looking at them is in vain

_COMPLETION_VARIABLE = "_EVENTLOG_COMPLETE"  # click's name; set while a shell asks how a word goes on


# The commands by name, with what the help says of each. A command is the function of its name in the module of its name, and
# is imported when it is asked for: so the help, and every command, starts without the others.
COMMANDS = {
    "backup": "Take a backup of the store while others use it.",
    "bench": "Measure how fast eventlog is on this machine.",
    "collect": "Collect messages of another system into TOPIC, until Ctrl-C or SIGTERM.",
    "completion": "Print the script that teaches SHELL to complete eventlog commands.",
    "consume": "Print the records of TOPIC, one partition after the other.",
    "delete-records": "Delete the records of TOPIC before an offset or a time.",
    "doctor": "Check the store, and say what is wrong and which command helps.",
    "dump": "Show the batches or index entries in a partition's files.",
    "export": "Write the records of TOPIC to a Parquet, Arrow, CSV or JSON Lines file.",
    "grep": "Print the records of TOPIC that match PATTERN, a regular expression.",
    "groups": "List, describe, move, export and delete consumer groups.",
    "maintain": "Delete what retention no longer keeps, and compact.",
    "mirror": "Copy topics with their groups from a Kafka cluster, or to one.",
    "metrics": "Print the store's metrics in Prometheus' text format.",
    "offsets": "Show the offsets of each partition of TOPIC, or of all topics.",
    "produce": "Append the records in the FILEs, or standard input, to TOPIC.",
    "repair": "Show what repairing a partition would drop, or repair it.",
    "restore": "Create a store from a backup.",
    "serve": "Serve the store to Kafka's clients, until Ctrl-C or SIGTERM.",
    "ship": "Ship the records of TOPIC to another system, until Ctrl-C or SIGTERM.",
    "sql": "Query topics with DuckDB: each is a table.",
    "top": "Show the activity of topics and groups until q or Ctrl-C.",
    "topics": "List, create, describe, alter and delete topics.",
    "transactions": "List, describe and abort the transactions of producers.",
    "ui": "Look around in a store: topics, records, groups and their lag.",
    "verify": "Check every batch and index of TOPIC, or of all topics.",
    "web": "Look around in a store with a browser, until Ctrl-C or SIGTERM.",
}


class _EventLogGroup(CommandGroup):
    """The commands, with a common end: output is flushed, a closed pipe is quiet, Ctrl-C has one status."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        name = cmd_name.replace("-", "_")
        command: click.Command = getattr(import_module(f"eventlog.cli.{name}"), name)
        if _COMPLETION_VARIABLE in os.environ:
            from eventlog.cli.completion import complete_names

            complete_names(command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(sorted(COMMANDS.items()))

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
            raise click.exceptions.Exit(_interrupted_status) from None


@click.group(
    name="eventlog",
    cls=_EventLogGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80},
)
@click.option(
    "-s",
    "--store",
    metavar="DIR|URL",
    envvar="EVENTLOG_STORE",
    show_envvar=True,
    help="Directory of the store, or kafka://HOST:PORT of a cluster. Goes before the command.",
)
@click.option(
    "--read-only",
    is_flag=True,
    help="Write, lock and recover nothing: for a snapshot, a copy, or a store of another user. Goes before the command.",
)
@click.version_option(__version__, message="%(prog)s %(version)s")
def group(store: str | None, read_only: bool) -> None:
    """Write, read and inspect a store of event streams.

    \b
    Example:
      export EVENTLOG_STORE=shop
      eventlog topics create orders
      echo hello | eventlog produce orders
      eventlog consume orders
    """


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit. The entry point of the `eventlog` program."""
    _let_sigterm_interrupt()
    _open_standard_descriptors()
    gc.set_threshold(_OBJECTS_A_COLLECTION)
    sys.exit(_run(arguments))


def _run(arguments: Sequence[str] | None) -> int:
    """Run the command line and return its exit status, with every error told in one line."""
    try:
        status = group.main(args=arguments, prog_name="eventlog", standalone_mode=False)
        return status if isinstance(status, int) else 0
    except (KeyboardInterrupt, click.Abort):
        return _interrupted_status
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


def _let_sigterm_interrupt() -> None:
    """Let SIGTERM do what Ctrl-C does, unless it is ignored: so that process 1 of a container ends, too, and in good order."""
    is_main = threading.current_thread() is threading.main_thread()
    if is_main and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _interrupt)


def _interrupt(number: int, frame: FrameType | None) -> None:
    global _interrupted_status
    _interrupted_status = STATUS_TERMINATED
    handler = signal.getsignal(signal.SIGINT)
    if not callable(handler):  # Ctrl-C is ignored, as in the background of a script
        raise KeyboardInterrupt
    handler(signal.SIGINT, frame)


def _usage_text(error: click.UsageError) -> str:
    command = error.ctx.command_path if error.ctx is not None else "eventlog"
    text = error.format_message().rstrip(".")
    if isinstance(error, click.NoSuchOption) and error.option_name == "--store":
        text = "--store goes before the command, as in 'eventlog --store DIR COMMAND'"
    if isinstance(error, click.NoSuchOption) and error.option_name == "--json" and command == "eventlog":
        text = "--json goes after the command, as in 'eventlog topics list --json'"
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
