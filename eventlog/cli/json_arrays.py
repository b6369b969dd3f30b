"""Records from a JSON array, which need not fit into memory: each of its elements becomes one."""

from __future__ import annotations

import codecs
from collections.abc import Iterator

from eventlog.cli.inputs import BLOCK_BYTES, BadLineError
from eventlog.cli.sources import EXACT, Fields, SourceRecord, json_record

_ELEMENT_CHARACTERS_MAX = 1 << 28
_SPACE = " \t\r\n"


class _Text:
    """Text that is read when it is needed. `at` is where the next character is, `line` the number of its line."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks = blocks
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")()
        self.text = ""
        self.at = 0
        self.line = 1
        self.is_whole = False

    def read(self, count: int) -> None:
        """Read at least `count` characters more, and forget what was taken."""
        pieces, length = [self.text[self.at :]], 0
        while length < count and not self.is_whole:
            block = next(self._blocks, None)
            self.is_whole = block is None
            try:
                pieces.append(self._decoder.decode(block or b"", final=block is None))
            except UnicodeDecodeError as error:
                raise BadLineError(self.line, f"not UTF-8 text: {error.reason}") from None
            length += len(pieces[-1])
        self.text, self.at = "".join(pieces), 0

    def take(self, end: int) -> str:
        """The text up to a position, which is taken."""
        taken = self.text[self.at : end]
        self.line += taken.count("\n")
        self.at = end
        return taken

    def next_character(self) -> str:
        """The next character that is no space, which stays; "" at the end."""
        while True:
            end = self.at
            while end < len(self.text) and self.text[end] in _SPACE:
                end += 1
            self.take(end)
            if end < len(self.text):
                return self.text[end]
            if self.is_whole:
                return ""
            self.read(1)

    def take_value(self) -> tuple[object, str]:
        """The next JSON value, and its text."""
        if not self.next_character():
            raise BadLineError(self.line, "the JSON array ends too early")
        while True:
            try:
                value, end = EXACT.raw_decode(self.text, self.at)
            except RecursionError:
                raise BadLineError(self.line, "JSON nested too deeply") from None
            except ValueError as error:
                if self.is_whole:
                    raise BadLineError(self.line, f"not JSON: {getattr(error, 'msg', error)}") from None
            else:
                if end < len(self.text) or self.is_whole:  # else a number may go on
                    return value, self.take(end)
            if len(self.text) - self.at > _ELEMENT_CHARACTERS_MAX:
                raise BadLineError(self.line, f"not JSON, or an element longer than {_ELEMENT_CHARACTERS_MAX} characters")
            self.read(max(BLOCK_BYTES, len(self.text) - self.at))


def array_records(blocks: Iterator[bytes], fields: Fields) -> Iterator[SourceRecord]:
    """Every element of a JSON array is a value, stored as its original text."""
    text = _Text(blocks)
    if text.next_character() != "[":
        raise BadLineError(text.line, "no JSON array: it begins with [ (for a JSON value on each line, use --format jsonl)")
    text.take(text.at + 1)
    if text.next_character() == "]":
        text.take(text.at + 1)
    else:
        yield from _elements(text, fields)
    if text.next_character():
        raise BadLineError(text.line, "there is something after the end of the JSON array")


def _elements(text: _Text, fields: Fields) -> Iterator[SourceRecord]:
    while True:
        value, written = text.take_value()
        yield json_record(text.line, value, written.encode("utf-8"), fields)
        follows = text.next_character()
        if follows not in (",", "]"):
            wrong = f"expected , or ] before {follows!r}" if follows else "the JSON array ends too early"
            raise BadLineError(text.line, f"not JSON: {wrong}")
        text.take(text.at + 1)
        if follows == "]":
            return
