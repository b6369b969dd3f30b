"""What a key, a value or a header is shown as: text that is cut, and can control neither a terminal nor a page."""

from __future__ import annotations

import codecs
import json
from typing import Any, NamedTuple

from eventlog.cli import output

PREVIEW_BYTES = 200
DETAIL_BYTES = 64 * 1024
_JSON_BYTES_MAX = 256 * 1024  # a larger value is shown as it is: decoding it would take long
_INDENTED = json.JSONEncoder(ensure_ascii=False, allow_nan=False, indent=2)


class Content(NamedTuple):
    """Bytes of a record as text: `size_bytes` is how many there are in all, and `is_cut` says that `text` shows only the first
    of them. `is_json` says that the text is JSON that was indented."""

    text: str
    size_bytes: int
    is_cut: bool = False
    is_json: bool = False


def preview(data: bytes | None, bytes_max: int = PREVIEW_BYTES) -> Content | None:
    """The beginning of some bytes in one line; None stays None."""
    if data is None:
        return None
    return Content(output.printable(_decoded(data, bytes_max)), len(data), len(data) > bytes_max)


def detail(data: bytes | None, bytes_max: int = DETAIL_BYTES) -> Content | None:
    """Some bytes with their lines, JSON indented; None stays None."""
    if data is None:
        return None
    indented = _indented(data, bytes_max)
    if indented is not None:
        text, is_cut = indented
        return Content(output.printable(text, unescaped="\n"), len(data), is_cut, is_json=True)
    text = output.printable(_decoded(data, bytes_max).expandtabs(4), unescaped="\n")
    return Content(text, len(data), len(data) > bytes_max)


def _decoded(data: bytes, bytes_max: int) -> str:
    """The first bytes as text, with what is not UTF-8 as escapes; a character in which they are cut is left out."""
    decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")
    return decoder.decode(data[:bytes_max], final=len(data) <= bytes_max)


def _indented(data: bytes, characters_max: int) -> tuple[str, bool] | None:
    """A JSON object or array, indented, and whether the end is missing; None if it is something else."""
    if len(data) > _JSON_BYTES_MAX or data.lstrip()[:1] not in (b"{", b"["):
        return None
    try:
        value = json.loads(data.decode(), object_pairs_hook=_without_repetition)
        pieces, length = [], 0
        for piece in _INDENTED.iterencode(value):  # indenting may make a text much longer
            pieces.append(piece)
            length += len(piece)
            if length > characters_max:
                break
    except (ValueError, RecursionError):
        return None
    return "".join(pieces)[:characters_max], length > characters_max


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose names are unique: of others, indenting would lose something."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name occurs twice")
    return found
