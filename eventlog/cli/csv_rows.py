"""Records from CSV or TSV with a header line: every row becomes a JSON object."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator, Mapping
from itertools import chain

from eventlog.cli.inputs import BadLineError
from eventlog.cli.sources import EXACT, Fields, SourceRecord

KINDS = ("text", "number", "bool", "json")

_FIELD_CHARACTERS_MAX = 1 << 28
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?", re.ASCII)
_TRUE, _FALSE = ("true", "t", "yes", "1"), ("false", "f", "no", "0")
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def csv_records(
    lines: Iterator[bytes], fields: Fields, delimiter: str, types: Mapping[str, str], *, detects_types: bool
) -> Iterator[SourceRecord]:
    """Every row becomes a JSON object: the header's names, and the fields as text unless `types` says something else.

    Blank lines are skipped."""
    # The default limit on a field is 128 KiB; ours is on lines, and a quoted field may hold several.
    csv.field_size_limit(_FIELD_CHARACTERS_MAX)
    rows = csv.reader(_text_lines(lines), delimiter=delimiter, strict=True)
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
        line = rows.line_num
        if header is None:
            header = _header(line, row, fields, delimiter, types)
            prefixes = [("" if index == 0 else ",") + _encode(name) + ":" for index, name in enumerate(header)]
            kinds = [types.get(name, "detected" if detects_types else "text") for name in header]
            continue
        if len(row) != len(header):
            raise BadLineError(line, f"the number of fields is {len(row)}, but the header has {len(header)}")
        cells = [_cell(line, *cell) for cell in zip(kinds, header, row, strict=True)]
        value = "".join(chain("{", *zip(prefixes, cells, strict=True), "}"))
        yield fields.record(line, dict(zip(header, row, strict=True)), value.encode("utf-8"))
    if header is None:
        raise BadLineError(1, "the input is empty: CSV starts with a header line")


def _cell(line: int, kind: str, name: str, text: str) -> str:
    """A field as JSON."""
    if kind == "text":
        return _encode(text)
    if text == "":
        return "null"
    if _NUMBER.fullmatch(text) and kind in ("number", "detected", "json"):
        return text
    if kind == "detected":
        return text if text in ("true", "false", "null") else _encode(text)
    if kind == "bool" and text.lower() in (*_TRUE, *_FALSE):
        return "true" if text.lower() in _TRUE else "false"
    if kind == "json":
        try:
            EXACT.decode(text)
            return text
        except (ValueError, RecursionError) as error:
            raise BadLineError(line, f"field {name!r} is not JSON: {error}") from None
    raise BadLineError(line, f"field {name!r} is {text!r}, not a {kind}: leave out --type {name}={kind}, or correct it")


def _text_lines(lines: Iterator[bytes]) -> Iterator[str]:
    # Spreadsheets begin a file with a byte order mark; it is no part of the first name.
    for number, line in enumerate(lines, 1):
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8") + "\n"
        except UnicodeDecodeError as error:
            raise BadLineError(number, f"not UTF-8 text: {error.reason} at byte {error.start}") from None


def _header(line: int, header: list[str], fields: Fields, delimiter: str, types: Mapping[str, str]) -> list[str]:
    for name in header:
        if header.count(name) > 1:
            raise BadLineError(line, f"the header has {name!r} twice")
    wanted = {**fields.needed, **dict.fromkeys(fields.headers, "header"), **{name: "typed" for name in types}}
    for name, use in wanted.items():
        if name not in header:
            columns = ", ".join(map(repr, header[:20]))
            raise BadLineError(line, f"the header has no {use} field {name!r}, but {columns}{_advice(header, delimiter)}")
    return header


def _advice(header: list[str], delimiter: str) -> str:
    others = [other for other in "\t;,|" if other != delimiter and other in header[0]]
    if len(header) > 1 or not others:
        return ""
    named = "tab" if others[0] == "\t" else others[0]
    return f" (are its fields separated by {others[0]!r}? use --delimiter '{named}')"
