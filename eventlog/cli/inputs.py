"""The bytes of an input file: read as they come, unpacked if they are compressed, and refused if they are no text at all."""

from __future__ import annotations

import contextlib
import os
import select
import tempfile
import zlib
from collections.abc import Callable, Iterator
from typing import IO, BinaryIO

from eventlog.errors import UnsupportedCodecError

BLOCK_BYTES = 1 << 18
_LINE_BYTES_MAX = 1 << 28
_MAGIC_BYTES_MAX = 16
_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"
_GZIP_WINDOW_BITS = 16 + zlib.MAX_WBITS  # 16 asks zlib for gzip's header and trailer

# What is neither text nor unpacked here, and a command that makes text of it.
_OTHERS = (
    (b"PK\x03\x04", "a zip archive", "unzip -p"),
    (b"BZh91AY&SY", "compressed by bzip2", "bzip2 -dc"),
    (b"\xfd7zXZ\x00", "compressed by xz", "xz -dc"),
    (b"\x04\x22\x4d\x18", "compressed by lz4", "lz4 -dc"),
    (b"PAR1", "a Parquet file", None),
    (b"ARROW1", "an Arrow file", None),
    (b"SQLite format 3\x00", "a SQLite database", None),
)
_MAGIC = (_GZIP, _ZSTD, *(magic for magic, _, _ in _OTHERS))


class BadInputError(Exception):
    """Input that cannot be read on, or is not what it was taken for."""


class BadLineError(BadInputError):
    """A line that cannot become a record. `line` counts from 1."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(f"line {line}: {reason}")
        self.line = line


@contextlib.contextmanager
def open_input(file: str) -> Iterator[BinaryIO]:
    """The file of this name, or standard input for "-", unbuffered."""
    name = 0 if file == "-" else file
    with open(name, "rb", buffering=0, closefd=name != 0) as stream:
        yield stream


def blocks_of(
    descriptor: int, before_wait: Callable[[], None], on_bytes: Callable[[int], None], *, takes_anything: bool
) -> Iterator[bytes]:
    """What a descriptor holds, in blocks, unpacked if it begins as gzip or zstd files do.

    Before it has to wait for input it calls `before_wait`, so that what came in so far need not wait too. `on_bytes` is told
    how much was read. Unless it `takes_anything`, an archive or a database is refused. Raises `BadInputError`."""
    blocks = _read(descriptor, before_wait, on_bytes)
    head = b""
    while len(head) < _MAGIC_BYTES_MAX and any(magic.startswith(head[: len(magic)]) for magic in _MAGIC):
        block = next(blocks, None)
        if block is None:
            break
        head += block
    rest = _chained(head, blocks)
    if head.startswith(_GZIP):
        return _gunzipped(rest)
    if head.startswith(_ZSTD):
        return _of_zstd(rest)
    for magic, name, command in () if takes_anything else _OTHERS:
        if head.startswith(magic):
            advice = f"unpack it: {command} FILE | eventlog produce ..." if command else "export it as CSV or JSON lines first"
            raise BadInputError(f"it is {name}, not text: {advice}; --format lines stores its bytes as lines")
    return rest


def _chained(head: bytes, blocks: Iterator[bytes]) -> Iterator[bytes]:
    if head:
        yield head
    yield from blocks


def _read(descriptor: int, before_wait: Callable[[], None], on_bytes: Callable[[int], None]) -> Iterator[bytes]:
    poller = select.poll()
    poller.register(descriptor, select.POLLIN)
    with open(descriptor, "rb", buffering=0, closefd=False) as stream:
        while True:
            if not poller.poll(0):
                before_wait()
                poller.poll()
            block = stream.read(BLOCK_BYTES)
            if block:
                on_bytes(len(block))
                yield block
            elif block is not None:
                return


def _gunzipped(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """The content of one gzip file, or of several after one another."""
    decompressor = zlib.decompressobj(_GZIP_WINDOW_BITS)
    try:
        for block in blocks:
            while block:
                if decompressor.eof:
                    block = block.lstrip(b"\0")  # tapes pad what they hold
                    if not block:
                        break
                    decompressor = zlib.decompressobj(_GZIP_WINDOW_BITS)
                yield decompressor.decompress(block, BLOCK_BYTES)
                block = decompressor.unused_data if decompressor.eof else decompressor.unconsumed_tail
        yield decompressor.flush()
    except zlib.error as error:
        raise BadInputError(f"damaged gzip data: {error}") from None
    if not decompressor.eof:
        raise BadInputError("the gzip data ends too early: the file is incomplete")


def _of_zstd(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """The content of zstd frames. The library unpacks whole files only, so both ends of it are files without a name."""
    try:
        from cramjam import File, zstd
    except ImportError:
        raise UnsupportedCodecError(
            "zstd needs a library: pip install 'eventlog-store[compression]', or pipe in what zstd -dc FILE prints"
        ) from None
    with tempfile.TemporaryFile() as packed, tempfile.TemporaryFile() as unpacked:
        for block in blocks:
            packed.write(block)
        packed.flush()
        try:
            zstd.decompress_into(File(_path_of(packed)), File(_path_of(unpacked)))
        except Exception as error:  # cramjam's own error type is not public
            raise BadInputError(f"damaged zstd data: {error}") from None
        while block := os.read(unpacked.fileno(), BLOCK_BYTES):
            yield block


def _path_of(stream: IO[bytes]) -> str:
    return f"/proc/self/fd/{stream.fileno()}"


def lines_of(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """The lines in these blocks, without their newlines. Raises `BadLineError` for one that is too long."""
    unfinished: list[bytes] = []
    unfinished_bytes = 0
    number = 1
    for block in blocks:
        *lines, rest = block.split(b"\n")
        if lines:
            unfinished.append(lines[0])
            lines[0] = b"".join(unfinished)
            number += len(lines)
            yield from lines
            unfinished, unfinished_bytes = [], 0
        if rest:
            unfinished.append(rest)
            unfinished_bytes += len(rest)
        if unfinished_bytes > _LINE_BYTES_MAX:
            raise BadLineError(number, f"longer than {_LINE_BYTES_MAX} bytes")
    if unfinished:
        yield b"".join(unfinished)
