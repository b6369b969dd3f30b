"""A search query in the form that native code uses: a string of bytes, or a regular expression with the longest string that
each of its matches contains."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable, Collection, Iterable
from typing import Any

from eventlog._native import ffi, lib
from eventlog.errors import InvalidArgumentError, InvalidTypeError
from eventlog.options import check_bool

FIELDS = {"key": lib.EL_SEARCH_KEY, "value": lib.EL_SEARCH_VALUE, "headers": lib.EL_SEARCH_HEADERS}

_LETTER_CASE = 0x20
_ZERO_WIDTH = frozenset(("AT", "ASSERT", "ASSERT_NOT"))
_REPEATS = frozenset(("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"))


class Query:
    """Which records a search finds. Raises `InvalidTypeError` and `InvalidArgumentError` for an invalid query."""

    def __init__(
        self, pattern: bytes | re.Pattern[bytes], fields: Collection[str], *, ignore_case: bool, invert: bool
    ) -> None:
        self.accepts: Callable[[bytes], object] | None = None
        if isinstance(pattern, re.Pattern):
            needle, is_all = self._literal(pattern, ignore_case)
            ignore_case = bool(pattern.flags & re.IGNORECASE)
            self.accepts = None if is_all else pattern.search
        elif isinstance(pattern, bytes):
            needle = pattern
        else:
            raise InvalidTypeError(
                f"a pattern must be bytes or a compiled regular expression of bytes, not {type(pattern).__name__}; "
                "encode text first"
            )
        check_bool("ignore_case", ignore_case)
        check_bool("invert", invert)
        self._native = ffi.new("el_query *")
        self._native.fields = _field_bits(fields)
        self._native.is_inverted = invert
        letters = bytes(_LETTER_CASE if ignore_case and _is_letter(byte) else 0 for byte in needle)
        self._bytes = ffi.new("uint8_t[]", bytes(map(int.__or__, needle, letters)) or b"\0")
        self._masks = ffi.new("uint8_t[]", letters) if any(letters) else ffi.NULL
        self.address = int(ffi.cast("uintptr_t", self._native))
        lib.el_needle_prepare(ffi.addressof(self._native, "needle"), self._bytes, self._masks, len(needle))

    accepts: Callable[[bytes], object] | None
    """A further check that bytes containing the needle must pass; None: no further check."""

    address: int
    """The address of the native query."""

    @staticmethod
    def _literal(pattern: re.Pattern[bytes], ignore_case: bool) -> tuple[bytes, bool]:
        if not isinstance(pattern.pattern, bytes):
            raise InvalidTypeError(
                "a regular expression must be compiled from bytes: re.compile(b'...'), since values are bytes"
            )
        if ignore_case:
            raise InvalidArgumentError("ignore_case is only for bytes; compile a regular expression with re.IGNORECASE")
        return required_literal(pattern)


def _is_letter(byte: int) -> bool:
    return 0x41 <= byte & ~_LETTER_CASE <= 0x5A


def _field_bits(fields: Collection[str]) -> int:
    if isinstance(fields, str) or not isinstance(fields, Collection):
        raise InvalidTypeError(f"fields must be a list of key, value and headers, not {fields!r}")
    unknown = [field for field in fields if not isinstance(field, str) or field not in FIELDS]
    if unknown or not fields:
        raise InvalidArgumentError(f"fields is {list(fields)!r}, but must name one or more of {', '.join(FIELDS)}")
    bits = 0
    for field in fields:
        bits |= FIELDS[field]
    return bits


def required_literal(pattern: re.Pattern[bytes]) -> tuple[bytes, bool]:
    """The longest string that every match of the expression contains (b"": not known), and whether it is the whole expression.
    If the expression ignores case, so must comparisons with this string.

    It is derived from the syntax tree of Python's own compiler. That is not a public interface: if it is not as expected, the
    string is not known, which only costs time."""
    if pattern.flags & re.LOCALE:
        return b"", False
    try:
        parser = importlib.import_module("re._parser" if sys.version_info >= (3, 11) else "sre_parse")
        items = list(parser.parse(pattern.pattern, pattern.flags & ~re.DEBUG))
        runs = [bytearray()]
        _gather(items, runs)
    except (ImportError, AttributeError, TypeError, ValueError):
        return b"", False
    return bytes(max(runs, key=len)), all(str(operation) == "LITERAL" for operation, _ in items)


def _gather(items: Iterable[tuple[Any, Any]], runs: list[bytearray]) -> None:
    """Add the strings that this part of the tree requires; the last run is the one that continues."""
    for operation, argument in items:
        name = str(operation)
        if name == "LITERAL":
            runs[-1].append(argument)
        elif name == "SUBPATTERN" and not argument[1] and not argument[2]:
            _gather(argument[3], runs)
        elif name in _REPEATS and argument[0] >= 1:
            runs.append(bytearray())
            _gather(argument[2], runs)
            runs.append(bytearray())
        elif name not in _ZERO_WIDTH:
            runs.append(bytearray())
