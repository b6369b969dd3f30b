"""Frames of STOMP: the cases that the specification names."""

from __future__ import annotations

import pytest

from eventlog import InvalidArgumentError
from eventlog.bridges.stomp.frames import Frame, FrameError, Parser, encode


def test_a_frame_has_the_bytes_that_the_specification_gives() -> None:
    sent = encode("SEND", [("destination", "/queue/a"), ("a:b", "c\nd\re\\f")], b"hello\0there")
    assert sent == b"SEND\ndestination:/queue/a\na\\cb:c\\nd\\re\\\\f\ncontent-length:11\n\nhello\0there\0"


def test_a_frame_without_a_body_has_no_length() -> None:
    assert encode("BEGIN", [("transaction", "t1")]) == b"BEGIN\ntransaction:t1\n\n\0"


def test_lines_may_end_with_a_carriage_return() -> None:
    frames = Parser().feed(b"RECEIPT\r\nreceipt-id:7\r\nx:y\r\n\r\nbody\0\r\n")
    assert [(frame.command, frame.headers(), frame.body) for frame in frames] == [
        ("RECEIPT", [("receipt-id", "7"), ("x", "y")], b"body")
    ]


def test_heart_beats_are_no_frames() -> None:
    parser = Parser()
    assert parser.feed(b"\n\r\n\n") == []
    assert parser.held_bytes == 0
    assert len(parser.feed(b"\nRECEIPT\n\n\0\n")) == 1


def test_of_a_repeated_header_the_first_counts() -> None:
    assert Frame("MESSAGE", b"a:1\na:2", b"").header("a") == "1"


def test_the_frames_of_the_login_have_no_escapes() -> None:
    assert encode("CONNECT", [("passcode", "a:b\\c")]) == b"CONNECT\npasscode:a:b\\c\n\n\0"
    assert Frame("CONNECTED", b"session:ID:x\\n", b"").header("session") == "ID:x\\n"


@pytest.mark.parametrize("value", ["a\nb", "a\rb"])
def test_a_login_cannot_smuggle_in_a_header(value: str) -> None:
    with pytest.raises(InvalidArgumentError, match="end of line"):
        encode("CONNECT", [("login", value)])


@pytest.mark.parametrize("header", [("", "a"), ("a", "\ud800")])
def test_a_header_that_cannot_be_sent_is_refused(header: tuple[str, str]) -> None:
    with pytest.raises(InvalidArgumentError, match="cannot be sent by STOMP"):
        encode("SEND", [header])


@pytest.mark.parametrize(
    "sent, complaint",
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "invalid command"),
        (b"SEND\ncontent-length:x\n\n\0", "invalid content-length"),
        (b"SEND\ncontent-length:-1\n\n\0", "invalid content-length"),
        (b"SEND\ncontent-length:2\n\nabc\0", "does not end"),
        (b"SEND\ncontent-length:999999999999\n\nabc\0", "body .* longer"),
        (b"S" * 2_000_000, "headers .* longer"),
    ],
)
def test_what_is_not_stomp_is_refused_for_good(sent: bytes, complaint: str) -> None:
    parser = Parser()
    for _ in range(2):
        with pytest.raises(FrameError, match=complaint):
            parser.feed(sent)
    assert parser.held_bytes == 0


@pytest.mark.parametrize("head", [b"no colon", b":no name", b"a:\\t", b"a:\\", b"a:\xff"])
def test_a_line_that_is_not_a_header_is_refused(head: bytes) -> None:
    with pytest.raises(FrameError, match="a STOMP frame"):
        Frame("MESSAGE", head, b"").headers()


def test_frames_before_an_error_are_returned_before_it_is_raised() -> None:
    parser = Parser()
    assert [frame.command for frame in parser.feed(b"RECEIPT\n\n\0nonsense\n\n\0")] == ["RECEIPT"]
    with pytest.raises(FrameError, match="invalid command"):
        parser.feed(b"")


def test_a_long_body_comes_in_small_chunks_in_linear_time() -> None:
    parser = Parser()
    body = bytes(1_000_000)
    sent = encode("MESSAGE", [], body)
    frames = [frame for start in range(0, len(sent), 1000) for frame in parser.feed(sent[start : start + 1000])]
    assert [frame.body for frame in frames] == [body]
