"""Records from a byte stream: lines, JSON Lines, or CSV with a header."""

from __future__ import annotations

import csv
import json
import select
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, NoReturn

_BLOCK_BYTES = 1 << 18
_LINE_BYTES_MAX = 1 << 28


class BadLineError(Exception):
    """A line that cannot become a record. `line` counts from 1."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(f"line {line}: {reason}")
        self.line = line


class SourceRecord(NamedTuple):
    """What one line, or one CSV row, becomes. `line` is where it ends, counted from 1."""

    line: int
    key: bytes | None
    value: bytes


class InputLines:
    """Iterates over the lines of a descriptor, without their newlines.

    Before it has to wait for input it calls `before_wait`, so that what came in so far need not wait too.
    `on_bytes` is told how much was read.
    """

    def __init__(self, descriptor: int, before_wait: Callable[[], None], on_bytes: Callable[[int], None]) -> None:
        self._descriptor = descriptor
        self._before_wait = before_wait
        self._on_bytes = on_bytes

    def __iter__(self) -> Iterator[bytes]:
        unfinished: list[bytes] = []
        unfinished_bytes = 0
        number = 1
        for block in self._blocks():
            *lines, rest = block.split(b"\n")
            if lines:
                unfinished.append(lines[0])
                lines[0] = b"".join(unfinished)
                number += len(lines)
                yield from lines
                unfinished, unfinished_bytes = [], 0
            if rest:
                unfinished.append(rest)
                unfinished_bytes += len(rest)
            if unfinished_bytes > _LINE_BYTES_MAX:
                raise BadLineError(number, f"longer than {_LINE_BYTES_MAX} bytes")
        if unfinished:
            yield b"".join(unfinished)

    def _blocks(self) -> Iterator[bytes]:
        poller = select.poll()
        poller.register(self._descriptor, select.POLLIN)
        with open(self._descriptor, "rb", buffering=0, closefd=False) as stream:
            while True:
                if not poller.poll(0):
                    self._before_wait()
                    poller.poll()
                block = stream.read(_BLOCK_BYTES)
                if block:
                    self._on_bytes(len(block))
                    yield block
                elif block is not None:
                    return


def line_records(lines: InputLines) -> Iterator[SourceRecord]:
    """Every line is a value, as it is."""
    for number, line in enumerate(lines, 1):
        yield SourceRecord(number, None, line)


def json_records(lines: InputLines, key_field: str | None) -> Iterator[SourceRecord]:
    """Every line is a JSON value, stored as its original bytes; blank lines are skipped.

    Numbers are kept as text: that is all a key needs, and no digit is lost.
    """
    decoder = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=_refuse_constant)
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            value = decoder.decode(line.decode("utf-8"))
        except RecursionError:
            raise BadLineError(number, "JSON nested too deeply") from None
        except ValueError as error:
            raise BadLineError(number, f"not JSON: {error}") from None
        key = None if key_field is None else _json_key(number, value, key_field)
        yield SourceRecord(number, key, line)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON value")


def _json_key(number: int, value: Any, field: str) -> bytes | None:
    if not isinstance(value, dict):
        raise BadLineError(number, f"not a JSON object, so it has no key field {field!r}")
    if field not in value:
        raise BadLineError(number, f"no key field {field!r}")
    key = value[field]
    if key is None:
        return None
    if isinstance(key, bool):
        return b"true" if key else b"false"
    if not isinstance(key, str):
        raise BadLineError(number, f"key field {field!r} is not text, a number, true, false or null")
    try:
        return key.encode("utf-8")
    except UnicodeEncodeError:
        raise BadLineError(number, f"key field {field!r} has half of a surrogate pair") from None


def csv_records(lines: InputLines, key_field: str | None) -> Iterator[SourceRecord]:
    """Every row becomes a JSON object: the header's names, the fields as text. Blank lines are skipped."""
    # The default limit on a field is 128 KiB; ours is on lines, and a quoted field may hold several.
    csv.field_size_limit(_LINE_BYTES_MAX)
    rows = csv.reader(_text_lines(lines), strict=True)
    encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
    header: list[str] | None = None
    while True:
        try:
            row = next(rows)
        except StopIteration:
            break
        except csv.Error as error:
            raise BadLineError(max(rows.line_num, 1), f"not CSV: {error}") from None
        if not row:
            continue
        if header is None:
            header = _csv_header(rows.line_num, row, key_field)
            continue
        if len(row) != len(header):
            raise BadLineError(rows.line_num, f"the number of fields is {len(row)}, but the header has {len(header)}")
        fields = dict(zip(header, row, strict=True))
        key = None if key_field is None else fields[key_field].encode("utf-8")
        yield SourceRecord(rows.line_num, key, encode(fields).encode("utf-8"))
    if header is None:
        raise BadLineError(1, "the input is empty: CSV starts with a header line")


def _text_lines(lines: InputLines) -> Iterator[str]:
    # Spreadsheets begin a file with a byte order mark; it is no part of the first name.
    for number, line in enumerate(lines, 1):
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8") + "\n"
        except UnicodeDecodeError as error:
            raise BadLineError(number, f"not UTF-8 text: {error.reason} at byte {error.start}") from None


def _csv_header(number: int, header: list[str], key_field: str | None) -> list[str]:
    for name in header:
        if header.count(name) > 1:
            raise BadLineError(number, f"the header has {name!r} twice")
    if key_field is not None and key_field not in header:
        raise BadLineError(number, f"the header has no key field {key_field!r}")
    return header
