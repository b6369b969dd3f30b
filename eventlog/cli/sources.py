"""Records from lines of text: plain lines, with or without keys, and JSON Lines; and what all sources of records share."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, NoReturn

from eventlog.cli.event_times import event_time
from eventlog.cli.inputs import BadInputError, BadLineError

Header = tuple[str, bytes | None]


class SourceRecord(NamedTuple):
    """What one line, one row or one element becomes. `line` is where it ends, counted from 1; `timestamp` None means now, and
    `partition` None the one of its key."""

    line: int
    key: bytes | None
    value: bytes | None
    headers: tuple[Header, ...] = ()
    timestamp: int | None = None
    partition: int | None = None


class Fields(NamedTuple):
    """What the options of the command say about a record: the fields that become its key, its time and its headers, the unit of
    times, the headers that every record gets, and whether a record without a value is a tombstone."""

    key: str | None = None
    timestamp: str | None = None
    unit: str = "ms"
    is_any_time: bool = False
    headers: tuple[str, ...] = ()
    constant_headers: tuple[Header, ...] = ()
    has_tombstones: bool = False

    @property
    def needed(self) -> dict[str, str]:
        """The names of the fields that every record must have, and what for."""
        named = {self.key: "key", self.timestamp: "timestamp"}
        return {name: use for name, use in named.items() if name is not None}

    @property
    def is_plain(self) -> bool:
        """Need no fields be looked up?"""
        return not self.needed and not self.headers

    def record(self, line: int, fields: Mapping[str, Any], value: bytes) -> SourceRecord:
        """The record of one object or row. Raises `BadLineError`."""
        key = None if self.key is None else _bytes_of(line, "key", self.key, fields)
        named = [(name, _bytes_of(line, "header", name, fields)) for name in self.headers if name in fields]
        is_tombstone = self.has_tombstones and not any(map(_is_something, self._others(fields)))
        timestamp = None if self.timestamp is None else self._time(line, fields)
        return SourceRecord(line, key, None if is_tombstone else value, (*self.constant_headers, *named), timestamp)

    def _others(self, fields: Mapping[str, Any]) -> list[Any]:
        used = {self.key, self.timestamp, *self.headers}
        return [value for name, value in fields.items() if name not in used]

    def _time(self, line: int, fields: Mapping[str, Any]) -> int | None:
        found = _field(line, "timestamp", self.timestamp or "", fields)
        if found is None or found == "":
            return None
        if not isinstance(found, str):
            raise BadLineError(line, f"timestamp field {self.timestamp!r} is neither text nor a number")
        try:
            return event_time(found, self.unit, is_any_time=self.is_any_time)
        except ValueError as error:
            raise BadLineError(line, f"timestamp field {self.timestamp!r}: {error}") from None


def _is_something(value: Any) -> bool:
    return value is not None and value != ""


def _field(line: int, use: str, name: str, fields: Mapping[str, Any]) -> Any:
    if name not in fields:
        raise BadLineError(line, f"no {use} field {name!r}")
    return fields[name]


def _bytes_of(line: int, use: str, name: str, fields: Mapping[str, Any]) -> bytes | None:
    found = _field(line, use, name, fields)
    if found is None:
        return None
    if isinstance(found, bool):
        return b"true" if found else b"false"
    if not isinstance(found, str):
        raise BadLineError(line, f"{use} field {name!r} is not text, a number, true, false or null")
    try:
        return found.encode("utf-8")
    except UnicodeEncodeError:
        raise BadLineError(line, f"{use} field {name!r} has half of a surrogate pair") from None


def line_records(lines: Iterator[bytes], fields: Fields, separator: bytes | None) -> Iterator[SourceRecord]:
    """Every line is a value, as it is, or a key and a value with the separator in between."""
    for number, line in enumerate(lines, 1):
        key, value = None, line
        if separator is not None:
            key, found, value = line.partition(separator)
            if not found:
                raise BadLineError(number, f"no key separator {separator.decode('utf-8', 'backslashreplace')!r}")
        yield SourceRecord(number, key, value if value or not fields.has_tombstones else None, fields.constant_headers)


def check_guess(line: bytes) -> None:
    """Raise `BadInputError` if the first line of what is taken for plain lines begins something else."""
    text = line.removeprefix(b"\xef\xbb\xbf").strip()
    if text == b"[" or (text[:1] == b"[" and text[1:].lstrip()[:1] == b"{"):
        raise BadInputError(
            "this seems to be a JSON array: --format array stores each of its elements, --format lines the lines as they are"
        )
    if is_envelope(text):
        raise BadInputError(
            "this seems to be the output of 'eventlog consume --json': --format json restores its records, "
            "--format lines stores the lines as they are"
        )


def is_envelope(text: bytes) -> bool:
    """Is this a record as `consume --json` prints it?"""
    if not text.startswith(b'{"topic"'):
        return False
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return isinstance(value, dict) and set(value) == {"topic", "partition", "offset", "timestamp", "key", "value", "headers"}


def refuse_constant(name: str) -> NoReturn:
    """What a JSON decoder does with NaN and Infinity."""
    raise ValueError(f"{name} is not a JSON value")


# Numbers are kept as text: that is all that keys and times need, and no digit is lost.
EXACT = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=refuse_constant)


def decoded(line: int, text: bytes, decoder: json.JSONDecoder = EXACT) -> Any:
    """The JSON value in these bytes. Raises `BadLineError`."""
    try:
        return decoder.decode(text.decode("utf-8"))
    except RecursionError:
        raise BadLineError(line, "JSON nested too deeply") from None
    except ValueError as error:
        raise BadLineError(line, f"not JSON: {error}{_advice(text)}") from None


def _advice(text: bytes) -> str:
    first = text.lstrip()[:1]
    return " (a JSON array over several lines? use --format array)" if first == b"[" else ""


def json_records(lines: Iterator[bytes], fields: Fields) -> Iterator[SourceRecord]:
    """Every line is a JSON value, stored as its original bytes; blank lines are skipped."""
    for number, line in enumerate(lines, 1):
        if line.strip():
            yield json_record(number, decoded(number, line), line, fields)


def json_record(line: int, value: Any, text: bytes, fields: Fields) -> SourceRecord:
    """The record of a JSON value with this text. Raises `BadLineError`."""
    if fields.is_plain:
        return SourceRecord(line, None, text, fields.constant_headers)
    if not isinstance(value, dict):
        use, name = next(((use, name) for name, use in fields.needed.items()), ("header", (*fields.headers, "")[0]))
        raise BadLineError(line, f"not a JSON object, so it has no {use} field {name!r}")
    return fields.record(line, value, text)
