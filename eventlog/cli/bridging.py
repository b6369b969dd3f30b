"""What the commands of bridges have in common."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import click

from eventlog.cli import output
from eventlog.cli.parsing import Seconds
from eventlog.errors import EventLogError

if TYPE_CHECKING:
    from eventlog.bridges.bridge import Bridge
    from eventlog.bridges.progress import BridgeProgress

PASSWORD_VARIABLE = "EVENTLOG_BRIDGE_PASSWORD"
SECONDS_MAX = 1e9

SHOWN_SECONDS = 0.5
_Command = TypeVar("_Command", bound=Callable[..., Any])

give_up_option = click.option(
    "--give-up-after",
    metavar="SECONDS",
    type=Seconds(0, SECONDS_MAX),
    help="Fail if the other side cannot be reached for so long; without this, try for ever.",
)
password_option = click.option(
    "--password-file", metavar="FILE", help="Take the password from the first line of FILE; - is standard input."
)
_OPTIONS = (
    click.option(
        "--window", metavar="N", type=click.IntRange(1, 1_000_000), help="At most so many records are under way at a time."
    ),
    click.option(
        "--refused",
        metavar="POLICY",
        default="stop",
        show_default=True,
        help="What becomes of a record that the other side does not take: stop, drop or dead-letter:TOPIC.",
    ),
    click.option(
        "--create",
        metavar="KIND",
        is_flag=False,
        flag_value="",
        help="Create the queue or topic on the other side if it is not there, of this kind.",
    ),
    click.option(
        "--until-idle", metavar="SECONDS", type=Seconds(0, SECONDS_MAX), help="End when there was nothing to do for so long."
    ),
    give_up_option,
    password_option,
    output.json_option,
)


def bridge_options(command: _Command) -> _Command:
    """Give a command the options of both."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def bridge_arguments(
    url: str, window: int | None, refused: str, create: str | None, give_up_after: float | None, password_file: str | None
) -> dict[str, Any]:
    """The arguments of `EventLog.ship` and `EventLog.collect` that these options stand for. Raises `click.UsageError`."""
    check_without_secret(url)
    given = {"window": window} if window is not None else {}
    return {
        **given, "refused": refused, "create": create, "give_up_after": give_up_after, "password": read_password(password_file),
    }  # fmt: skip


def check_without_secret(url: str) -> None:
    """Raise `click.UsageError` if there is a password in a URL: everybody on this machine sees the arguments of a program."""
    from eventlog.bridges.url import Url

    if Url(url).has_secret:
        raise click.UsageError(
            f"leave the password out of the URL, where others see it: use --password-file or {PASSWORD_VARIABLE}"
        )


def read_password(file: str | None) -> str | None:
    """The password from the first line of a file, or else from the environment. Raises `EventLogError`."""
    if file is None:
        return os.environ.get(PASSWORD_VARIABLE)
    try:
        with open(0 if file == "-" else file, encoding="utf-8", closefd=file != "-") as lines:
            return lines.readline().rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise EventLogError(f"the password cannot be read from {file}: {error}") from None


def run_bridge(bridge: Bridge, until_idle: float | None, *, as_json: bool) -> None:
    """Run it until it ends, or SIGTERM or Ctrl-C end it; a second Ctrl-C does not wait. Raises what `Bridge.run` raises, and
    `KeyboardInterrupt` after Ctrl-C."""
    with stopped_by_signals(bridge) as signals:
        bridge.start(until_idle)
        try:
            with _progress() as show:
                while bridge.is_alive:
                    bridge.join(SHOWN_SECONDS)
                    show(bridge)
            bridge.join()
        finally:
            _write_summary(bridge.progress(), as_json=as_json)
    if signal.SIGINT in signals:
        raise KeyboardInterrupt


@contextmanager
def stopped_by_signals(bridge: Bridge) -> Iterator[list[int]]:
    """A block in which SIGTERM and SIGINT stop a bridge, which yields those that came; the second SIGINT interrupts."""
    came: list[int] = []

    def stop(number: int, frame: object) -> None:
        if number == signal.SIGINT and number in came:
            raise KeyboardInterrupt
        came.append(number)
        bridge.request_stop()

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _progress() -> Iterator[Callable[[Bridge], None]]:
    """Show a line that changes while standard error is a terminal."""
    if sys.stderr is None or not sys.stderr.isatty():
        yield lambda bridge: None
        return
    from rich.console import Console

    with Console(stderr=True).status("connecting", spinner="line") as status:
        started, first = time.monotonic(), 0

        def show(bridge: Bridge) -> None:
            progress = bridge.progress()
            rate = (progress.records - first) / max(time.monotonic() - started, 0.001)
            status.update(output.printable(f"{_text(progress)}, {output.count_text(rate)} records/s"))

        yield show


def _text(progress: BridgeProgress) -> str:
    facts = [f"{progress.state}: {progress.records} records", f"{progress.in_flight} in flight"]
    for name in ("recognised", "refused", "reconnects"):
        if count := getattr(progress, name):
            facts.append(f"{count} {name}")
    if progress.state == "waiting" and progress.last_error:
        facts.append(progress.last_error)
    return ", ".join(facts)


def _write_summary(progress: BridgeProgress, *, as_json: bool) -> None:
    if as_json:
        names = (
            "direction", "topic", "url", "system", "group", "state", "records", "bytes", "refused", "recognised", "reconnects",
            "last_error",
        )  # fmt: skip
        output.write_json({name: getattr(progress, name) for name in names})
        return
    verb = "shipped" if progress.direction == "ship" else "collected"
    extra = [f"{count} {name}" for name in ("recognised", "refused", "reconnects") if (count := getattr(progress, name))]
    output.write_line(f"{progress.records} records {verb}" + (f" ({', '.join(extra)})" if extra else ""))
