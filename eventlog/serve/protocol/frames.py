"""Frames and headers: splits a stream of bytes into requests, and makes pieces of bytes from answers. It uses no sockets.

A frame is a length of four bytes and that many bytes. Memory is taken as bytes arrive, not as a length announces them.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, NamedTuple

from eventlog.serve.protocol.messages import MalformedMessageError
from eventlog.serve.protocol.varints import skip_tags

BUFFER_BYTES = 64 * 1024  # a larger buffer is given back once its request is answered
_GROWTH = 4  # times what has arrived of a frame: a buffer is cleared first, and then filled anew
_JOINED_BYTES_MAX = 1024
_REQUEST_BYTES_MIN = 8  # without a client id, which the oldest versions of one API omit

_length = struct.Struct(">i")
_header = struct.Struct(">hhi")
_short = struct.Struct(">h")
_answer = struct.Struct(">ii")


class RequestHeader(NamedTuple):
    """The header of a request: its API and version, and the number that its answer has to repeat."""

    api_key: int
    version: int
    correlation_id: int
    client_id: str | None
    body_at: int


def read_header(frame: memoryview, is_flexible: Callable[[int, int], bool]) -> RequestHeader:
    """The header of a request. `is_flexible` returns for an API key and a version whether it has tagged fields."""
    try:
        api_key, version, correlation_id = _header.unpack_from(frame)
        (size,) = _short.unpack_from(frame, _header.size)
        position = _header.size + _short.size
        client_id = None
        if size >= 0:
            client_id = str(frame[position : position + size], "utf-8")
            position += size
        if position > len(frame):
            raise ValueError("the client id ends behind it")
        if is_flexible(api_key, version):
            position = skip_tags(frame, position)
    except (struct.error, ValueError, IndexError) as error:
        raise MalformedMessageError(f"a request's header: {error}") from error
    return RequestHeader(api_key, version, correlation_id, client_id, position)


def answer_pieces(correlation_id: int, has_tags: bool, body: list[Any]) -> list[Any]:
    """The pieces of an answer's frame; a single one if it is small."""
    size = sum(map(len, body)) + _length.size + has_tags
    start = _answer.pack(size, correlation_id)
    pieces = [start + b"\0" if has_tags else start, *body]
    return [b"".join(pieces)] if size <= _JOINED_BYTES_MAX else pieces


class FrameReader:
    """Takes bytes as they arrive, and returns frames as views of its buffer: each is valid until `next` is called again."""

    def __init__(self, request_bytes_max: int, may_take: Callable[[int], bool]) -> None:
        """`may_take` is called with the size of a larger buffer before it is made; the frame waits while it returns False."""
        self.request_bytes_min = _REQUEST_BYTES_MIN
        self.request_bytes_max = request_bytes_max
        self._may_take = may_take
        self._buffer = memoryview(b"")  # until it is needed
        self._start = self._end = 0
        self.total_bytes = 0

    @property
    def buffer_bytes(self) -> int:
        """The size of the buffer."""
        return len(self._buffer)

    @property
    def has_begun(self) -> bool:
        """Has a part of a frame arrived?"""
        return self._end > self._start

    def room(self) -> memoryview:
        """The buffer for the next bytes; empty until `next` has made room."""
        if not self._buffer:
            self._buffer = memoryview(bytearray(BUFFER_BYTES))
        return self._buffer[self._end :]

    def received(self, count: int) -> None:
        """Note that `count` bytes were put there."""
        self._end += count
        self.total_bytes += count

    def unread(self) -> memoryview:
        """What has arrived and was not returned by `next` yet."""
        return self._buffer[self._start : self._end]

    def skip(self, count: int) -> None:
        """Leave out the first bytes of it: they were whole frames, which the caller has read."""
        self._start += count

    def release(self) -> None:
        """Let go of the buffer: nothing more arrives. Otherwise it would stay until the next collection of garbage."""
        self._buffer, self._start, self._end = memoryview(b""), 0, 0

    def next(self) -> memoryview | None:
        """The next frame without its length; None if it is not complete. Raises `MalformedMessageError`."""
        there = self._end - self._start
        size = self._size() if there >= _length.size else 0
        if there >= _length.size + size > _length.size:
            begin = self._start + _length.size
            self._start = end = begin + size
            return self._buffer[begin:end]
        self._make_room(_length.size + size)
        return None

    def _size(self) -> int:
        (size,) = _length.unpack_from(self._buffer, self._start)
        if not self.request_bytes_min <= size <= self.request_bytes_max:
            allowed = f"{self.request_bytes_min} to {self.request_bytes_max}"
            raise MalformedMessageError(f"a request of {size} bytes is announced, and {allowed} are allowed")
        return int(size)

    def _make_room(self, wanted: int) -> None:
        """Make room for the rest of a frame: at the start of the buffer, or in a larger one if the frame fills it."""
        there = self._end - self._start
        bytes_now = len(self._buffer)
        if bytes_now and there == bytes_now and self._may_take(larger := min(_GROWTH * bytes_now, wanted)):
            self._move_to(larger)
        elif bytes_now > BUFFER_BYTES and there <= BUFFER_BYTES and wanted <= BUFFER_BYTES and self._may_take(BUFFER_BYTES):
            self._move_to(BUFFER_BYTES)
        elif self._start and (self._end == bytes_now or there == 0):
            self._buffer[:there] = bytes(self._buffer[self._start : self._end])
            self._start, self._end = 0, there

    def _move_to(self, size: int) -> None:
        there = self._end - self._start
        buffer = memoryview(bytearray(size))
        buffer[:there] = self._buffer[self._start : self._end]
        self._buffer, self._start, self._end = buffer, 0, there
