"""Frames of STOMP against a plain model of the format, with hostile bytes, and in arbitrary chunks."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from eventlog.bridges.stomp.frames import Frame, FrameError, Parser, encode

HEAD_BYTES_MAX = 40
BODY_BYTES_MAX = 30

names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)
texts = st.text(st.characters(exclude_categories=["Cs"]))
headers = st.lists(st.tuples(names.filter(lambda name: name != "content-length"), texts))
commands = st.sampled_from(["SEND", "MESSAGE", "RECEIPT", "ERROR", "ACK"])
# What a frame is made of, in any order: random bytes alone would hardly ever be a frame.
pieces = st.sampled_from(
    [b"SEND", b"\n", b"\n\n", b"\r\n", b"\r", b"\0", b"\ncontent-length:", b"0", b"3", b"7", b"31", b"99999999999999999999",
     b":", b"a", b"a:b", b"\\n", b"\\", b"\xff", b"SEND\n\nabc\0", b"SEND\ncontent-length:3\n\na\0c\0", b"x" * 12]
)  # fmt: skip
hostile = st.one_of(st.binary(), st.lists(pieces, max_size=30).map(b"".join))


def parsed_slowly(data: bytes) -> tuple[list[Frame], bool]:
    """The complete frames that all of `data` begins with, and whether an error follows them."""
    frames = []
    while True:
        data = data.lstrip(b"\r\n")
        ends = [end for end in (data.find(b"\n\n"), data.find(b"\n\r\n")) if end >= 0]
        head = data[: min(ends)] if ends else data
        if len(head) > HEAD_BYTES_MAX:
            return frames, True
        if not ends:
            return frames, False
        body = data[len(head) :].removeprefix(b"\n").removeprefix(b"\r").removeprefix(b"\n")
        command, *lines = head.removesuffix(b"\r").split(b"\n")
        command = command.removesuffix(b"\r")
        if not 0 < len(command) <= 32 or not set(command) <= set(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ"):
            return frames, True
        lengths = [line.split(b":", 1)[1].split(b"\r")[0] for line in lines if line.startswith(b"content-length:")]
        if lengths:
            if not lengths[0].isdigit() or len(lengths[0]) > 18 or int(lengths[0]) > BODY_BYTES_MAX:
                return frames, True
            length = int(lengths[0])
            if length >= len(body):
                return frames, False
            if body[length] != 0:
                return frames, True
        else:
            length = body.find(b"\0")
            if (len(body) if length < 0 else length) > BODY_BYTES_MAX:
                return frames, True
            if length < 0:
                return frames, False
        frames.append(Frame(command.decode(), b"\n".join(lines), body[:length]))
        data = body[length + 1 :]


def chunks_of(data: bytes, cuts: list[int]) -> list[bytes]:
    positions = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[start:end] for start, end in pairwise(positions)]


def parsed(parser: Parser, chunks: list[bytes]) -> tuple[list[Frame], bool]:
    frames: list[Frame] = []
    try:
        for chunk in [*chunks, b""]:
            frames += parser.feed(chunk)
    except FrameError:
        return frames, True
    return frames, False


@given(st.lists(st.tuples(commands, headers, st.one_of(st.none(), st.binary())), max_size=5), st.lists(st.integers(0)))
def test_frames_come_out_as_they_went_in_whatever_the_chunks(
    sent: list[tuple[str, list[tuple[str, str]], bytes | None]], cuts: list[int]
) -> None:
    data = b"\n\r\n".join(encode(command, headers, body) for command, headers, body in sent)
    frames, is_wrong = parsed(Parser(), chunks_of(data, cuts))
    assert not is_wrong
    assert [(frame.command, frame.body) for frame in frames] == [(command, body or b"") for command, _, body in sent]
    for frame, (_, headers, body) in zip(frames, sent, strict=True):
        length = [] if body is None else [("content-length", str(len(body)))]
        assert frame.headers() == headers + length


@given(hostile, st.lists(st.integers(0)))
def test_hostile_bytes_give_what_a_plain_model_gives_whatever_the_chunks(data: bytes, cuts: list[int]) -> None:
    parser = Parser(head_bytes_max=HEAD_BYTES_MAX, body_bytes_max=BODY_BYTES_MAX)
    assert parsed(parser, chunks_of(data, cuts)) == parsed_slowly(data)


@given(st.lists(hostile))
def test_no_more_is_held_than_the_limits_allow(chunks: list[bytes]) -> None:
    parser = Parser(head_bytes_max=HEAD_BYTES_MAX, body_bytes_max=BODY_BYTES_MAX)
    for chunk in chunks:
        try:
            parser.feed(chunk)
        except FrameError:
            assert parser.held_bytes == 0
            return
        assert parser.held_bytes <= HEAD_BYTES_MAX + BODY_BYTES_MAX + len(b"\n\r\n")


@given(st.binary())
def test_headers_of_hostile_lines_are_read_or_refused(head: bytes) -> None:
    frame = Frame("MESSAGE", head, b"")
    try:
        headers = frame.headers()
    except FrameError:
        return
    headers = [header for header in headers if header[0] != "content-length"]
    assert Parser().feed(encode("MESSAGE", headers))[0].headers() == headers
