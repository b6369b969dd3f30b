"""What the commands print: tables, JSON Lines and raw bytes, through one writer on standard output."""

from __future__ import annotations

import base64
import functools
import io
import json
import os
import re
import select
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from eventlog import Record

# How long it may go unnoticed that the reader of a quiet command has gone away.
READER_CHECK_SECONDS = 0.5

_BUFFER_BYTES = 1 << 16
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_SHORT_UNITS = ("k", "M", "G", "T")
_BYTE_UNITS = ("KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
_NUMBER = r"-|[0-9]+(\.[0-9]+)?( (k|M|G|T|B|[KMGTPE]iB|s|min|h|d))?"
_MARK, _END_OF_MARK = b"\x1b[1;31m", b"\x1b[m"
_ENCODER = json.JSONEncoder(ensure_ascii=False)

json_option = click.option("-j", "--json", "as_json", is_flag=True, help="Print JSON Lines instead of text.")


@functools.cache
def standard_output() -> io.BufferedWriter:
    """Standard output as bytes. Every command prints through this one writer, so all stays in order."""
    return io.BufferedWriter(io.FileIO(1, "wb", closefd=False), _BUFFER_BYTES)


def flush() -> None:
    standard_output().flush()


def discard() -> None:
    """Send what is still buffered nowhere: the reader of the pipe is gone."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)


def check_reader() -> None:
    """Raise BrokenPipeError if standard output has no reader any more."""
    poller = select.poll()
    poller.register(1, 0)  # Errors and hang-ups are reported unasked.
    if poller.poll(0):
        raise BrokenPipeError


def wait_while_read(seconds: float) -> None:
    """Wait; raise BrokenPipeError as soon as standard output has no reader any more."""
    poller = select.poll()
    poller.register(1, 0)
    if poller.poll(seconds * 1000):
        raise BrokenPipeError


def is_terminal() -> bool:
    return os.isatty(1)


def write_line(text: str) -> None:
    """Print one line of text.

    What is not Unicode text (a file name may hold any bytes) is shown as an escape, and on a terminal whatever could steer it.
    """
    text = printable(text, unescaped="\t") if is_terminal() else text
    standard_output().write(text.encode("utf-8", "backslashreplace") + b"\n")


def write_json(value: dict[str, Any]) -> None:
    """Print one line of JSON Lines; on a terminal what could steer it is escaped as JSON has it."""
    text = json_text(value)
    write_line("".join(c if c.isprintable() else _json_escape(c) for c in text) if is_terminal() else text)


def json_text(value: dict[str, Any]) -> str:
    """An object in one line."""
    return _ENCODER.encode(value)


def _json_escape(character: str) -> str:
    return f"\\u{ord(character):04x}" if character.isascii() else json.dumps(character)[1:-1]


def write_table(headers: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print aligned columns, numbers to the right; None is shown as "-"."""
    cells = [[cell_text(cell) for cell in row] for row in rows]
    numeric = [all(_is_number(row[column]) for row in cells) for column in range(len(headers))]
    if is_terminal():
        _write_terminal_table(headers, cells, numeric)
        return
    widths = [max(map(len, column)) for column in zip(headers, *cells, strict=True)]
    for row in [list(headers), *cells]:
        aligned = (
            cell.rjust(width) if right else cell.ljust(width) for cell, width, right in zip(row, widths, numeric, strict=True)
        )
        write_line("  ".join(aligned).rstrip())


def cell_text(cell: object) -> str:
    """The text of a table cell: "-" for None, and nothing that could control a terminal or break a line."""
    return "-" if cell is None else printable(str(cell))


def _write_terminal_table(headers: Sequence[str], rows: list[list[str]], numeric: list[bool]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for header, right in zip(headers, numeric, strict=True):
        table.add_column(header, justify="right" if right else "left", overflow="fold")
    for row in rows:
        table.add_row(*row)
    flush()
    Console(markup=False, highlight=False).print(table)


def _is_number(cell: str) -> bool:
    return re.fullmatch(_NUMBER, cell) is not None


def count_text(number: float | None) -> str | None:
    """A number for people: up to 9,999 as it is, rates with a decimal below 100, then 12.3 k and so on. None stays None."""
    if number is None:
        return None
    if number < 9999.5:
        return f"{number:.1f}" if isinstance(number, float) and 0 < number < 99.95 else f"{number:.0f}"
    return _scaled(number, 1000, _SHORT_UNITS)


def bytes_text(size_bytes: float | None) -> str | None:
    """A number of bytes for people: 512 B, 1.5 KiB, 20.0 MiB. None stays None."""
    if size_bytes is None:
        return None
    return f"{size_bytes:.0f} B" if size_bytes < 1023.5 else _scaled(size_bytes, 1024, _BYTE_UNITS)


def _scaled(number: float, step: int, units: Sequence[str]) -> str:
    for unit in units:
        number /= step
        if number < step - 0.05:
            return f"{number:.1f} {unit}"
    return f"{number:.1f} {units[-1]}"


def seconds_text(seconds: float | None) -> str | None:
    """A time span for people, in its largest unit: 40 s, 12 min, 5 h, 3 d. None stays None."""
    if seconds is None:
        return None
    for unit, length, limit in (("s", 1, 120), ("min", 60, 7200), ("h", 3600, 172_800)):
        if seconds < limit:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds / 86_400:.0f} d"


def time_text(timestamp_ms: int) -> str:
    """A timestamp in milliseconds since the epoch as ISO 8601 in UTC; "-" for Kafka's "no timestamp", -1.

    A timestamp no calendar has (a damaged file may hold any number) is shown as the number it is.
    """
    if timestamp_ms == -1:
        return "-"
    try:
        time = _EPOCH + timedelta(milliseconds=timestamp_ms)
    except OverflowError:
        return str(timestamp_ms)
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def text_or_base64(data: bytes | None) -> str | dict[str, str] | None:
    """Bytes as JSON shows them: text if they are UTF-8, else {"base64": ...}; None stays None."""
    if data is None:
        return None
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(data).decode("ascii")}


def record_object(record: Record) -> dict[str, Any]:
    """A record as JSON shows it."""
    return {
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "timestamp": record.timestamp,
        "key": text_or_base64(record.key),
        "value": text_or_base64(record.value),
        "headers": [[name, text_or_base64(value)] for name, value in record.headers],
    }


def printable(text: str, unescaped: str = "") -> str:
    """Text that cannot control a terminal or break a line: unprintable characters are escaped, except those in `unescaped`."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in unescaped else c.encode("unicode_escape").decode("ascii") for c in text)


def for_terminal(data: bytes) -> bytes:
    """Bytes of a record as a terminal may see them: its lines and tabs stay, all else that could steer it is escaped."""
    return printable(data.decode("utf-8", "backslashreplace"), unescaped="\n\t").encode()


def marked(data: bytes, pattern: re.Pattern[bytes]) -> bytes:
    """Bytes of a record as a terminal may see them, with each match of the pattern in bold red, as grep shows it."""
    shown, position = [], 0
    for match in pattern.finditer(data):
        if match.end() > match.start():
            shown += [for_terminal(data[position : match.start()]), _MARK, for_terminal(match[0]), _END_OF_MARK]
            position = match.end()
    return b"".join([*shown, for_terminal(data[position:])])
