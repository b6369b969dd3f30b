"""The batches of a .log file: their headers, and the one way to go through such a file.

`walk` reads a file in blocks that begin with a batch; the caller says how much of each block it has consumed, and gets the
rest again. `headers_from` goes from header to header, and reads nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from eventlog._native import ffi, lib
from eventlog.records.attributes import COMPRESSION, CONTROL, LOG_APPEND_TIME, TRANSACTIONAL
from eventlog.records.compression import CODEC_NAMES
from eventlog.storage.segments import files
from eventlog.storage.segments.damage import wrong_batch

HEADER_BYTES = int(lib.EL_BATCH_HEADER_BYTES)
BLOCK_BYTES = 4 * 2**20



class Batch(NamedTuple):
    """The header of a batch and its position; sizes and positions in bytes, timestamps in ms since the epoch.

    `crc_valid` says whether the checksum matches; None: it was not checked."""

    position: int
    size_bytes: int
    base_offset: int
    last_offset: int
    record_count: int
    leader_epoch: int
    crc: int
    attributes: int
    base_timestamp: int
    max_timestamp: int
    producer_id: int
    producer_epoch: int
    base_sequence: int
    crc_valid: bool | None = None

    @property
    def next_offset(self) -> int:
        """The offset after its last one."""
        return self.last_offset + 1

    @property
    def end(self) -> int:
        """The position after the batch."""
        return self.position + self.size_bytes

    @property
    def codec(self) -> int:
        """Kafka's number of the codec that its records are compressed with, 0: none."""
        return self.attributes & COMPRESSION

    @property
    def compression(self) -> str:
        """The codec's name: none, gzip, snappy, lz4 or zstd."""
        return CODEC_NAMES.get(self.codec, "unknown")

    @property
    def timestamp_type(self) -> str:
        """CreateTime or LogAppendTime."""
        return "LogAppendTime" if self.attributes & LOG_APPEND_TIME else "CreateTime"

    @property
    def is_transactional(self) -> bool:
        """Was the batch written within a transaction?"""
        return bool(self.attributes & TRANSACTIONAL)

    @property
    def is_control(self) -> bool:
        """Is it a transaction marker, and not data?"""
        return bool(self.attributes & CONTROL)


def parse_native(data: Any, length: int) -> tuple[Any, int]:
    """The native `el_batch` at the beginning of native bytes (size_bytes is 0 if there is none), and the parser's status."""
    header = ffi.new("el_batch *")
    return header, int(lib.el_batch_parse(data, length, header))


def _batch_of(position: int, header: Any, crc_valid: bool | None = None) -> Batch:
    return Batch(
        position, header.size_bytes, header.base_offset, header.base_offset + header.last_offset_delta, header.record_count,
        header.leader_epoch, header.crc, header.attributes, header.base_timestamp, header.max_timestamp, header.producer_id,
        header.producer_epoch, header.base_sequence, crc_valid,
    )  # fmt: skip


def read_header(descriptor: int, position: int) -> tuple[Batch | None, int]:
    """The batch whose header is at a position, though the file may end inside it, and the parser's status; None if there is no
    header."""
    data = files.read_at(descriptor, HEADER_BYTES, position) if position >= 0 else b""
    header, status = parse_native(ffi.from_buffer("uint8_t[]", data), len(data))
    return (_batch_of(position, header) if header.size_bytes > 0 else None), status


def headers_from(descriptor: int, position: int) -> Iterator[Batch]:
    """The headers of consecutive batches from a position on, until there are no more."""
    while (batch := read_header(descriptor, position)[0]) is not None:
        yield batch
        position = batch.end


class Block:
    """Bytes of a file from the beginning of a batch on, as Python's `data` and for native code.

    The caller of `walk` sets `consumed` to the number of bytes, in whole batches, that it is done with, and `next_offset` to
    the lowest offset that the batch after these may have."""

    def __init__(self, position: int, data: bytes, next_offset: int) -> None:
        self.position = position
        self.data = data
        self.native: Any = ffi.from_buffer("uint8_t[]", data)
        self.length = len(data)
        self.consumed = 0
        self.next_offset = next_offset

    @property
    def end(self) -> int:
        """The position in the file after its bytes."""
        return self.position + self.length

    @property
    def rest(self) -> bytes:
        """The bytes that have not been consumed."""
        return self.data[self.consumed :]

    def batches(self) -> Iterator[tuple[Batch, bytes]]:
        """The whole batches in it, with their bytes; each is consumed when it is returned."""
        while True:
            at = self.consumed
            header, status = parse_native(self.native + at, self.length - at)
            if status != lib.EL_CODEC_OK:
                return
            crc_valid = lib.el_batch_verify(self.native + at, header) == lib.EL_CODEC_OK
            batch = _batch_of(self.position + at, header, crc_valid)
            self.consumed += batch.size_bytes
            self.next_offset = batch.next_offset
            yield batch, self.data[at : at + batch.size_bytes]


def walk(path: Path, start: int, stop: int, next_offset: int, *, block_bytes: int = BLOCK_BYTES) -> Iterator[Block]:
    """Go through a .log file from a batch that has `next_offset`, or a later one, up to the position `stop`.

    A block of which nothing is consumed is returned again with its first batch complete. Raises `CorruptLogError` if that batch
    already was complete, if it extends past `stop`, or if there is none."""
    position, wanted = start, block_bytes
    with open(path, "rb") as file:
        while position < stop:
            block = Block(position, files.read_at(file.fileno(), min(wanted, stop - position), position), next_offset)
            yield block
            position, next_offset = position + block.consumed, block.next_offset
            wanted = block_bytes if block.consumed else _bytes_of_first(path, block, stop)


def _bytes_of_first(path: Path, block: Block, stop: int) -> int:
    """The size in bytes of a batch that did not fit into a block."""
    header, status = parse_native(block.native, block.length)
    if status != lib.EL_CODEC_INCOMPLETE or not 0 < header.size_bytes <= stop - block.position:
        raise wrong_batch(path, block.position, status, block.next_offset)
    return int(header.size_bytes)
