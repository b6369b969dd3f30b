"""Requests out of a stream of bytes, however it is cut, and what memory they take."""

from __future__ import annotations

import struct

import pytest

from eventlog.serve.memory import RequestMemory
from eventlog.serve.protocol.frames import BUFFER_BYTES, FrameReader, answer_pieces, read_header
from eventlog.serve.protocol.messages import MalformedMessageError


def framed(body: bytes) -> bytes:
    return struct.pack(">i", len(body)) + body


def feed(frames: FrameReader, data: bytes, piece_bytes: int) -> list[bytes]:
    """Put the bytes in, so many at a time, and return the frames that come out."""
    found: list[bytes] = []
    while data:
        room = frames.room()[:piece_bytes]
        taken = data[: len(room)]
        room[: len(taken)] = taken
        frames.received(len(taken))
        data = data[len(taken) :]
        while (frame := frames.next()) is not None:
            found.append(bytes(frame))
    return found


@pytest.mark.parametrize("piece_bytes", [1, 3, 7, 64, BUFFER_BYTES])
def test_frames_come_out_whole_however_the_bytes_are_cut(piece_bytes: int) -> None:
    bodies = [bytes([number]) * (8 + 37 * number) for number in range(50)]
    frames = FrameReader(10_000, lambda size: True)
    assert feed(frames, b"".join(map(framed, bodies)), piece_bytes) == bodies


def test_a_frame_larger_than_the_buffer_takes_memory_as_its_bytes_come_and_gives_it_back() -> None:
    taken: list[int] = []

    def take(size: int) -> bool:
        taken.append(size)
        return True

    body = b"x" * (5 * BUFFER_BYTES)
    frames = FrameReader(10 * BUFFER_BYTES, take)
    data = framed(body)
    assert feed(frames, data[:100], 100) == []
    assert taken == []  # five times as much was announced, but not sent
    assert feed(frames, data[100:], 1000) == [body]
    assert taken == [4 * BUFFER_BYTES, len(data), BUFFER_BYTES]
    assert feed(frames, framed(b"and so on"), 1000) == [b"and so on"]
    assert len(taken) == 3


@pytest.mark.parametrize("size", [-1, 0, 7, 10_001, 2**31 - 1, -(2**31)])
def test_a_length_that_no_request_has_is_malformed(size: int) -> None:
    with pytest.raises(MalformedMessageError, match=str(size)):
        feed(FrameReader(10_000, lambda size: True), struct.pack(">i", size), 4)


def test_a_frame_waits_where_it_may_not_take_more_memory() -> None:
    may_take = False
    frames = FrameReader(10 * BUFFER_BYTES, lambda size: may_take)
    data = framed(b"x" * BUFFER_BYTES)
    assert feed(frames, data[:BUFFER_BYTES], BUFFER_BYTES) == []
    assert len(frames.room()) == 0
    may_take = True
    assert frames.next() is None
    assert feed(frames, data[BUFFER_BYTES:], BUFFER_BYTES) == [data[4:]]


def test_the_header_of_a_request_is_read_with_and_without_tags() -> None:
    start = struct.pack(">hhih", 18, 3, 7, 2) + b"me"
    assert read_header(memoryview(start + b"body"), lambda key, version: False) == (18, 3, 7, "me", len(start))
    tagged = start + b"\1\5\2ab" + b"body"
    assert read_header(memoryview(tagged), lambda key, version: True).body_at == len(tagged) - 4
    nobody = struct.pack(">hhih", 3, 0, 7, -1)
    assert read_header(memoryview(nobody), lambda key, version: False).client_id is None


@pytest.mark.parametrize(
    "header",
    [b"", b"\0\3\0\0", struct.pack(">hhih", 3, 0, 7, 50) + b"me", struct.pack(">hhih", 3, 0, 7, 1) + b"\xff",
     struct.pack(">hhih", 3, 9, 7, 2) + b"me" + b"\1\5\x7fab", struct.pack(">hhih", 3, 9, 7, 2) + b"me" + b"\xff" * 9],
)  # fmt: skip
def test_a_header_that_is_none_is_malformed(header: bytes) -> None:
    with pytest.raises(MalformedMessageError):
        read_header(memoryview(header), lambda key, version: version == 9)


def test_an_answer_has_its_length_and_the_number_of_its_request() -> None:
    assert b"".join(answer_pieces(7, False, [b"ab", b"c"])) == framed(b"\0\0\0\7abc")
    assert b"".join(answer_pieces(7, True, [b"ab", b"c"])) == framed(b"\0\0\0\7\0abc")


def test_memory_is_shared_and_the_one_that_has_had_some_the_longest_always_gets_more() -> None:
    told: list[str] = []
    memory = RequestMemory(100)
    assert memory.take("first", 60, lambda: told.append("first"))
    assert memory.take("second", 40, lambda: told.append("second"))
    assert not memory.take("second", 41, lambda: told.append("second"))
    assert not memory.take("third", 1, lambda: told.append("third"))
    assert memory.take("first", 1000, lambda: told.append("first"))
    assert told == []
    memory.give_back("first")
    assert told == ["second", "third"]
    assert memory.take("third", 60, lambda: told.append("third"))
    assert memory.taken_bytes == 100


def test_one_that_gives_back_its_memory_is_told_nothing_more() -> None:
    told: list[str] = []
    memory = RequestMemory(100)
    assert memory.take("first", 100, lambda: None)
    assert not memory.take("second", 1, lambda: told.append("second"))
    memory.give_back("second")
    memory.give_back("first")
    assert told == []
