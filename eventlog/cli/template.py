"""Templates: how --format prints a record, such as "{topic}-{partition}@{offset} {time} {key} {value.customer}"."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from functools import cached_property
from typing import TYPE_CHECKING, Any, NoReturn

from eventlog.cli import output

if TYPE_CHECKING:
    from eventlog import Record

FIELDS = (
    "{topic}", "{partition}", "{offset}", "{timestamp}", "{time}", "{time:%H:%M}", "{key}", "{value}", "{headers}",
    "{key.FIELD}", "{value.FIELD}", "{headers.NAME}", "{key_bytes}", "{value_bytes}",
)  # fmt: skip

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_ESCAPES = {"n": b"\n", "t": b"\t", "r": b"\r", "e": b"\x1b", "0": b"\0", "\\": b"\\"}
_TOKEN = re.compile(r"(?P<brace>\{\{|\}\})|\{(?P<field>[^{}]*)\}|\\(?P<escape>x[0-9a-fA-F]{2}|.)|(?P<text>[^{}\\]+)", re.DOTALL)
_LAYOUT = re.compile(r"(?P<align>[<>^]?)(?P<width>[0-9]{0,4})(?:\.(?P<maximum>[0-9]{1,4}))?")


class _Source:
    """A record whose JSON is parsed once at most."""

    def __init__(self, record: Record) -> None:
        self.record = record

    @cached_property
    def key(self) -> Any:
        return _parsed(self.record.key)

    @cached_property
    def value(self) -> Any:
        return _parsed(self.record.value)


_Part = Callable[[_Source], bytes]


class Template:
    """Text with fields in braces. Raises ValueError, with the fields that there are, for one that is none."""

    def __init__(self, text: str) -> None:
        self._parts: list[_Part] = []
        at, has_field = 0, False
        while at < len(text):
            token = _TOKEN.match(text, at)
            if token is None:
                raise ValueError(
                    f"{text[at]!r} is unpaired in {text!r}: braces come in pairs; write {{{{ and }}}} for literal braces"
                )
            has_field |= token["field"] is not None
            self._parts.append(_field(token["field"]) if token["field"] is not None else _constant(_plain(token)))
            at = token.end()
        if not has_field:
            raise ValueError(f"{text!r} is neither value nor json, and contains no template field: {_choice()}")

    def render(self, record: Record) -> bytes:
        """What the template makes of a record, without a newline at its end."""
        source = _Source(record)
        return b"".join([part(source) for part in self._parts])


def _choice() -> str:
    return ", ".join(FIELDS)


def _constant(data: bytes) -> _Part:
    return lambda source: data


def _plain(token: re.Match[str]) -> bytes:
    escape = token["escape"]
    if token["brace"]:
        return token["brace"][:1].encode()
    if not escape:
        return token["text"].encode("utf-8", "surrogateescape")
    if escape[0] == "x" and len(escape) == 3:
        return bytes([int(escape[1:], 16)])
    if escape not in _ESCAPES:
        raise ValueError(f"\\{escape} is not a template escape: use \\n, \\t, \\r, \\e, \\0, \\xHH or \\\\")
    return _ESCAPES[escape]


def _field(text: str) -> _Part:
    name, colon, layout = text.partition(":")
    if name == "time":
        return _time(layout)
    numbers: dict[str, Callable[[Record], int | None]] = {
        "partition": lambda record: record.partition,
        "offset": lambda record: record.offset,
        "timestamp": lambda record: record.timestamp,
        "key_bytes": lambda record: None if record.key is None else len(record.key),
        "value_bytes": lambda record: None if record.value is None else len(record.value),
    }
    if name in numbers:
        number = numbers[name]
        return _laid_out(lambda source: b"" if (found := number(source.record)) is None else b"%d" % found, text, layout, ">")
    find = _harmless(_bytes_field(name))
    return _laid_out(find, text, layout, "<") if colon else find


def _harmless(find: _Part) -> _Part:
    """What a record holds does not steer the terminal that it is printed on; what the template says may."""
    return (lambda source: output.for_terminal(find(source))) if output.is_terminal() else find


def _bytes_field(name: str) -> _Part:
    first, _, path = name.partition(".")
    if name == "topic":
        return lambda source: source.record.topic.encode()
    if name == "key":
        return lambda source: source.record.key or b""
    if name == "value":
        return lambda source: source.record.value or b""
    if name == "headers":
        return lambda source: _headers_text(source.record)
    if first == "headers" and path:
        return lambda source: _header(source.record, path)
    if first in ("key", "value") and path:
        return _json_field(first, path.split("."))
    _refuse(name)


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{{{name}}} is not a template field: use {_choice()}")


def _time(layout: str) -> _Part:
    try:
        _EPOCH.strftime(layout).encode("utf-8", "surrogateescape")
    except ValueError as error:
        raise ValueError(f"{layout!r} is not a time format: {error}") from None

    def text(source: _Source) -> bytes:
        milliseconds = source.record.timestamp
        try:
            time = _EPOCH + timedelta(milliseconds=milliseconds)
        except OverflowError:
            time = None
        if not layout or time is None or milliseconds == -1:
            return output.time_text(milliseconds).encode()
        return time.strftime(layout).encode("utf-8", "surrogateescape")

    return text


def _laid_out(find: _Part, field: str, layout: str, usual_side: str) -> _Part:
    match = _LAYOUT.fullmatch(layout)
    if match is None:
        raise ValueError(f"{{{field}}}: {layout!r} is not a layout, such as >10 (width, to the right) or <20.20 (cut to 20)")
    width, maximum = int(match["width"] or 0), int(match["maximum"]) if match["maximum"] else None
    side = match["align"] or usual_side

    def text(source: _Source) -> bytes:
        found = find(source).decode("utf-8", "surrogateescape")[:maximum]
        return (f"{found:{side}{width}}" if width else found).encode("utf-8", "surrogateescape")

    return text


def _headers_text(record: Record) -> bytes:
    pairs = [name.encode("utf-8", "surrogateescape") + b"=" + (value or b"") for name, value in record.headers]
    return b",".join(pairs)


def _header(record: Record, name: str) -> bytes:
    """The last value of a header: the one that counts if a name occurs twice."""
    for candidate, value in reversed(record.headers):
        if candidate == name:
            return value or b""
    return b""


class _Exact(str):
    """A piece of JSON that is printed as it is. Numbers are: as a float they could become other ones."""


_DECODER = json.JSONDecoder(parse_int=_Exact, parse_float=_Exact, parse_constant=_Exact)


def _json_field(where: str, path: list[str]) -> _Part:
    def text(source: _Source) -> bytes:
        found = _follow(source.key if where == "key" else source.value, path)
        shown = "" if found is None else found if isinstance(found, str) else _compact(found)
        return shown.encode("utf-8", "backslashreplace")

    return text


def _parsed(data: bytes | None) -> Any:
    """The JSON in these bytes, None if they hold none."""
    try:
        return _DECODER.decode((data or b"").decode("utf-8"))
    except (ValueError, RecursionError):
        return None


def _compact(found: Any) -> str:
    """JSON on one line, with each number as it stood. Without recursion: the parser goes deeper than Python code could."""
    written: list[str] = []
    to_write = [found]  # the next one last
    while to_write:
        each = to_write.pop()
        if isinstance(each, dict):
            fields = [piece for name, value in each.items() for piece in (_Exact(","), name, _Exact(":"), value)]
            to_write += [_Exact("}"), *reversed(fields[1:]), _Exact("{")]
        elif isinstance(each, list):
            items = [piece for value in each for piece in (_Exact(","), value)]
            to_write += [_Exact("]"), *reversed(items[1:]), _Exact("[")]
        else:
            written.append(each if isinstance(each, _Exact) else json.dumps(each, ensure_ascii=False))
    return "".join(written)


def _follow(found: Any, path: list[str]) -> Any:
    for step in path:
        if isinstance(found, dict):
            found = found.get(step)
        elif isinstance(found, list) and step.isascii() and step.isdecimal() and int(step[:10]) < len(found):
            found = found[int(step[:10])]
        else:
            return None
    return found
