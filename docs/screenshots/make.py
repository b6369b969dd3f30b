"""Makes the pictures in the documentation: `make screenshots`.

Runs the real commands on a terminal of 80 columns, in a store with the same content every time, while producers and a consumer
group are at work; what the terminal shows becomes an SVG. Times, and the rates that the machine allows, differ from run to run.
"""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import termios
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from io import StringIO
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.text import Text
from screens import take_ui

import eventlog
from eventlog import Consumer, EventLog

COLUMNS, LINES = 80, 24
PROGRAM = Path(sys.executable).with_name("eventlog")
SECONDS_MAX = 60
TICK_SECONDS = 0.05

SHOWN_STORE = "/var/lib/shop"
_HOME = "\x1b[H"
_MODES = re.compile(r"\x1b\[\?[0-9]+[hl]")


class Screenshot(NamedTuple):
    """A picture: its file's name, the command's arguments, for a screen that is renewed which look at it is taken, and the
    status that the command ends with."""

    name: str
    arguments: tuple[str, ...]
    look: int | None = None
    status: int = 0


SCREENSHOTS = (
    Screenshot("top", ("top", "--interval", "1"), look=4),
    Screenshot("topics-describe", ("topics", "describe", "orders")),
    Screenshot("groups-describe", ("groups", "describe", "billing")),
)
OF_DAMAGED_STORE = Screenshot("doctor", ("doctor",), status=1)


def main(directory: Path) -> None:
    """Make all pictures in this directory."""
    with tempfile.TemporaryDirectory() as temporary:
        store = Path(temporary) / "shop"
        with eventlog.open(store) as log, traffic(log):
            for screenshot in SCREENSHOTS:
                _take(screenshot, store, directory)
            (directory / "ui.svg").write_text(take_ui(store, SHOWN_STORE))
        damaged = Path(temporary) / "damaged"
        shutil.copytree(store, damaged)
        _damage(damaged)
        _take(OF_DAMAGED_STORE, damaged, directory)


def _take(screenshot: Screenshot, store: Path, directory: Path) -> None:
    shown = _run(store, screenshot).replace(str(store), SHOWN_STORE)
    (directory / f"{screenshot.name}.svg").write_text(_svg(screenshot, shown))


def _damage(store: Path) -> None:
    """What a failing disk, a lost file and careless hands leave behind."""
    segment = store / "logs" / "payments-0" / f"{0:020d}.log"
    content = bytearray(segment.read_bytes())
    content[len(content) // 2] ^= 1
    segment.write_bytes(content)
    segment.with_name("00000000000000000000.index").unlink()
    (store / "logs" / "notes.txt").write_text("to do")
    store.chmod(0o755)


@contextmanager
def traffic(log: EventLog) -> Iterator[None]:
    """A shop in which orders come in faster than billing takes them, and a report that catches up."""
    log.create_topic("orders", partitions=3, config={"retention.ms": 259_200_000, "compression.type": "zstd"})
    log.create_topic("payments", partitions=2)
    log.create_topic("page-views", partitions=4)
    for topic, number in (("orders", 6000), ("payments", 2500), ("page-views", 40_000)):
        _append(log, topic, number)
    with ExitStack() as stack:
        billing = [stack.enter_context(log.consumer("orders", group="billing", instance_id=f"till-{n}")) for n in (1, 2)]
        report = stack.enter_context(log.consumer("page-views", group="report", instance_id="report"))
        ledger = stack.enter_context(log.consumer("payments", group="ledger", instance_id="ledger"))
        work = [(each, 10) for each in billing] + [(report, 400), (ledger, 1000)]
        for _ in range(4):  # partitions change hands in several steps
            for consumer, size in work:
                _consume(consumer, size)
        ended = threading.Event()
        thread = threading.Thread(target=_work, args=(log, work, ended))
        stack.callback(thread.join)
        stack.callback(ended.set)
        thread.start()
        yield


def _work(log: EventLog, work: list[tuple[Consumer, int]], ended: threading.Event) -> None:
    while not ended.wait(TICK_SECONDS):
        for topic, number in (("orders", 24), ("payments", 6), ("page-views", 120)):
            _append(log, topic, number)
        for consumer, size in work:
            _consume(consumer, size)


def _append(log: EventLog, topic: str, number: int) -> None:
    partitions = log.topic(topic).partitions
    values = [b'{"customer": "c-%05d", "total": %d, "currency": "EUR"}' % (n * 7919 % 100_000, n % 97) for n in range(number)]
    for partition in range(partitions):
        log.partition(topic, partition).append_many(values[partition::partitions])


def _consume(consumer: Consumer, size: int) -> None:
    if consumer.poll(timeout=0, max_records=size):
        consumer.commit()


def _run(store: Path, screenshot: Screenshot) -> str:
    """What the command shows on a terminal, at the end or at the wanted look."""
    mine, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
    unwanted = ("COLUMNS", "LINES", "NO_COLOR")
    environment = {name: value for name, value in os.environ.items() if name not in unwanted}
    environment |= {"TERM": "xterm-256color", "EVENTLOG_STORE": str(store)}
    with subprocess.Popen(
        [PROGRAM, *screenshot.arguments], env=environment, stdin=theirs, stdout=theirs, stderr=theirs
    ) as process:
        os.close(theirs)
        shown = ""
        while data := _read(mine):
            shown += data
            if screenshot.look is not None and shown.count(_HOME) > screenshot.look + 1:
                os.write(mine, b"q")
        os.close(mine)
    if process.returncode != screenshot.status:
        raise SystemExit(f"eventlog {' '.join(screenshot.arguments)} ended with {process.returncode}: {shown}")
    if screenshot.look is not None:
        shown = shown.split(_HOME)[screenshot.look + 1]
    return _MODES.sub("", shown).replace("\r\n", "\n")


def _read(terminal: int) -> str:
    """What comes next from a terminal; "" once its last user has closed it."""
    if not select.select([terminal], [], [], SECONDS_MAX)[0]:
        raise SystemExit(f"nothing was shown for {SECONDS_MAX} s")
    try:
        return os.read(terminal, 65536).decode("utf-8", "replace")
    except OSError:  # Linux's way to say that a terminal has ended
        return ""


def _svg(screenshot: Screenshot, shown: str) -> str:
    # The machine that makes the pictures need not be in them. Hosts stand at the end of lines, so that columns stay aligned.
    process_id = str(os.getpid())
    shown = re.sub(rf"\b{process_id}\b", "4711".rjust(len(process_id)), shown)
    shown = re.sub(rf"(?<![\w.-]){re.escape(socket.gethostname())}(?![\w.-])", "localhost", shown)
    console = Console(record=True, width=COLUMNS, file=StringIO(), force_terminal=True, legacy_windows=False)
    console.print(Text.from_ansi(f"\x1b[2m$\x1b[0m \x1b[1meventlog {' '.join(screenshot.arguments)}\x1b[0m"))
    console.print(Text.from_ansi(shown.rstrip()))
    svg = console.export_svg(title="eventlog", unique_id=screenshot.name)
    return "\n".join(line.rstrip() for line in svg.splitlines()) + "\n"


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
