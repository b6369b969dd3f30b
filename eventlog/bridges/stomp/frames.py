"""Frames of STOMP 1.2: bytes to frames, in whatever chunks they come, and frames to bytes.

The format is that of https://stomp.github.io/stomp-specification-1.2.html. Nothing here does I/O."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from eventlog.errors import ConnectionLostError, InvalidArgumentError

HEAD_BYTES_MAX = 1024 * 1024
BODY_BYTES_MAX = 256 * 1024 * 1024
HEART_BEAT = b"\n"

_HEAD_END = re.compile(rb"\n\r?\n")
_HEAD_END_BYTES_MAX = 3
_LINE_ENDS = re.compile(rb"[\r\n]*")
_CONTENT_LENGTH = re.compile(rb"\ncontent-length:([^\r\n]*)")
_LENGTH = re.compile(rb"[0-9]{1,18}\Z")
_COMMAND = re.compile(rb"[A-Z]{1,32}\Z")

_ESCAPES = {"\\": "\\\\", "\r": "\\r", "\n": "\\n", ":": "\\c"}
_MUST_BE_ESCAPED = re.compile(r"[\\\r\n:]")
_UNESCAPES = {"\\\\": "\\", "\\r": "\r", "\\n": "\n", "\\c": ":"}
_ESCAPE = re.compile(r"\\.?", re.DOTALL)
# Version 1.0 had no escapes, and these two are sent before the version is agreed on.
_NEVER_ESCAPED = ("CONNECT", "CONNECTED")


class FrameError(ConnectionLostError):
    """What came is not STOMP 1.2, or larger than allowed: nothing that follows on this connection can be understood."""


class Frame(NamedTuple):
    """A frame as it came. `head` is the bytes of its header lines, still escaped, without the line end after the last one."""

    command: str
    head: bytes
    body: bytes

    def headers(self) -> list[tuple[str, str]]:
        """All headers, in order. Of several with the same name, the first one counts.

        Raises `FrameError` for a line that is not a header, or not UTF-8."""
        return parse_headers(self.head, is_escaped=self.command not in _NEVER_ESCAPED)

    def header(self, name: str) -> str | None:
        """The value of a header, or None if there is none of this name. Raises `FrameError` as `headers` does."""
        return next((value for each, value in self.headers() if each == name), None)


def parse_headers(head: bytes, *, is_escaped: bool = True) -> list[tuple[str, str]]:
    """The headers in these lines. Raises `FrameError` for a line that is not a header, or not UTF-8."""
    if not head:
        return []
    try:
        text = head.decode()
    except UnicodeDecodeError as error:
        raise FrameError(f"a header of a STOMP frame is not UTF-8: {error.reason} at byte {error.start}") from error
    headers = []
    for line in text.split("\n"):
        name, colon, value = line.removesuffix("\r").partition(":")
        if not name or not colon:
            raise FrameError(f"a line of a STOMP frame is not a header: {line[:80]!r}")
        headers.append((name, value))
    if is_escaped and "\\" in text:
        return [(_unescaped(name), _unescaped(value)) for name, value in headers]
    return headers


def _unescaped(text: str) -> str:
    return _ESCAPE.sub(_unescape, text) if "\\" in text else text


def _unescape(escape: re.Match[str]) -> str:
    try:
        return _UNESCAPES[escape[0]]
    except KeyError:
        raise FrameError(f"a header of a STOMP frame has the undefined escape {escape[0]!r}") from None


def encode(command: str, headers: Iterable[tuple[str, str]] = (), body: bytes | None = None) -> bytes:
    """The bytes of a frame. With a body, even an empty one, it has a `content-length`.

    Raises `InvalidArgumentError` if a header cannot be sent."""
    is_escaped = command not in _NEVER_ESCAPED
    return encode_raw(command, encode_headers(headers, is_escaped=is_escaped), body)


def encode_raw(command: str, head: bytes, body: bytes | None = None, *, has_length: bool = True) -> bytes:
    """The bytes of a frame whose header lines are encoded, each with its line end. A body without NUL needs no length."""
    if body is None or not has_length:
        return b"%b\n%b\n%b\0" % (command.encode(), head, body or b"")
    return b"%b\n%bcontent-length:%d\n\n%b\0" % (command.encode(), head, len(body), body)


def encode_headers(headers: Iterable[tuple[str, str]], *, is_escaped: bool = True) -> bytes:
    """The lines of these headers, each with its line end.

    Raises `InvalidArgumentError` for a header without a name, with text that is not Unicode, or that would have to be escaped
    if `is_escaped` is false."""
    escape = _escaped if is_escaped else _unchanged
    try:
        return "".join([f"{escape(name)}:{escape(value)}\n" for name, value in headers if _is_named(name)]).encode()
    except UnicodeEncodeError as error:
        raise InvalidArgumentError(f"a header cannot be sent by STOMP: {error.object!r} is not valid Unicode") from error


def _is_named(name: str) -> bool:
    if not name:
        raise InvalidArgumentError("a header without a name cannot be sent by STOMP")
    return True


def _escaped(text: str) -> str:
    return _MUST_BE_ESCAPED.sub(lambda special: _ESCAPES[special[0]], text) if _MUST_BE_ESCAPED.search(text) else text


def _unchanged(text: str) -> str:
    if "\n" in text or "\r" in text:
        raise InvalidArgumentError("a header of CONNECT, such as the login, cannot contain an end of line")
    return text


class _Head(NamedTuple):
    command: str
    lines: bytes
    length: int | None


class Parser:
    """Takes bytes as they come and returns the frames that are complete.

    It holds one frame at most that is not, and of that only what has come: `head_bytes_max` and `body_bytes_max` limit it."""

    def __init__(self, *, head_bytes_max: int = HEAD_BYTES_MAX, body_bytes_max: int = BODY_BYTES_MAX) -> None:
        self._head_bytes_max = head_bytes_max
        self._body_bytes_max = body_bytes_max
        self._buffer = bytearray()
        self._position = 0  # in the buffer, while it is parsed
        self._searched = 0  # bytes of the buffer that do not have the end of the head or body
        self._needed = 0  # bytes in the buffer without which the body is not complete
        self._head: _Head | None = None
        self._error: FrameError | None = None

    @property
    def held_bytes(self) -> int:
        """The bytes of the frame that is not complete yet."""
        return len(self._buffer) + (0 if self._head is None else len(self._head.lines))

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that these bytes complete; a heart-beat is none.

        Raises `FrameError`; but frames that came before the error are returned first, and the next call raises it, as do all
        that follow."""
        if self._error is not None:
            raise self._error
        self._buffer += data
        if len(self._buffer) < self._needed:
            return []
        frames: list[Frame] = []
        try:
            while (frame := self._next_frame()) is not None:
                frames.append(frame)
            del self._buffer[: self._position]
            self._position = 0
        except FrameError as error:
            self._error = error
            self._buffer.clear()
            self._head = None
            if not frames:
                raise
        return frames

    def _next_frame(self) -> Frame | None:
        head = self._head
        if head is None:
            head = self._head = self._next_head()
            if head is None:
                return None
        body = self._next_body(head.length)
        if body is None:
            return None
        self._head = None
        return Frame(head.command, head.lines, body)

    def _next_head(self) -> _Head | None:
        buffer = self._buffer
        line_ends = _LINE_ENDS.match(buffer, self._position)
        start = self._position if line_ends is None else line_ends.end()
        if start > self._position:
            self._position, self._searched = start, 0
        end = _HEAD_END.search(buffer, start + self._searched)
        head_bytes = (len(buffer) if end is None else end.start()) - start
        if head_bytes > self._head_bytes_max:
            raise FrameError(f"the headers of a STOMP frame are longer than {self._head_bytes_max} bytes")
        if end is None:
            self._searched = max(0, head_bytes - _HEAD_END_BYTES_MAX + 1)
            return None
        self._position, self._searched = end.end(), 0
        return self._checked_head(bytes(buffer[start : end.start()]))

    def _checked_head(self, head: bytes) -> _Head:
        first, _, lines = head.partition(b"\n")
        command = first.removesuffix(b"\r")
        if not _COMMAND.match(command):
            raise FrameError(f"a STOMP frame has the invalid command {command[:40]!r}")
        length = None
        if found := _CONTENT_LENGTH.search(head):
            if not _LENGTH.match(found[1]):
                raise FrameError(f"a STOMP frame has the invalid content-length {found[1][:40]!r}")
            length = int(found[1])
            self._check_body_bytes(length)
        return _Head(command.decode(), lines.removesuffix(b"\r"), length)

    def _check_body_bytes(self, length: int) -> None:
        if length > self._body_bytes_max:
            raise FrameError(f"the body of a STOMP frame is longer than {self._body_bytes_max} bytes")

    def _next_body(self, length: int | None) -> bytes | None:
        buffer, start = self._buffer, self._position
        if length is None:
            end = buffer.find(0, start + self._searched)
            self._searched = (len(buffer) if end < 0 else end) - start
            self._check_body_bytes(self._searched)
        else:
            end = start + length
            if end >= len(buffer):
                self._needed = length + 1
                return None
            if buffer[end] != 0:
                raise FrameError(f"a STOMP frame does not end after the {length} bytes of its content-length")
        if end < 0:
            return None
        self._position, self._searched, self._needed = end + 1, 0, 0
        return bytes(buffer[start:end])
