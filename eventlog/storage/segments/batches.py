"""The batches of a .log file: their headers, and the one way to go through a file of them.

`walk` reads a file in blocks that begin with a batch; whoever goes through it says how much of each block is done with, and
gets the rest again. `headers_from` hops from header to header, and reads nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from eventlog._native import ffi, lib
from eventlog.records.compression import CODEC_NAMES
from eventlog.storage.segments import files
from eventlog.storage.segments.damage import wrong_batch

HEADER_BYTES = int(lib.EL_BATCH_HEADER_BYTES)
BLOCK_BYTES = 4 * 2**20

_COMPRESSION, _LOG_APPEND_TIME, _TRANSACTIONAL, _CONTROL = 0x07, 0x08, 0x10, 0x20


class Batch(NamedTuple):
    """The header of a batch and its place; sizes and positions in bytes, timestamps in ms since the epoch.

    `crc_valid` says whether the checksum matches, None: nobody has compared it."""

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
        """The offset behind its last one."""
        return self.last_offset + 1

    @property
    def end(self) -> int:
        """The position behind it."""
        return self.position + self.size_bytes

    @property
    def codec(self) -> int:
        """Kafka's number of the codec that its records are compressed with, 0: none."""
        return self.attributes & _COMPRESSION

    @property
    def compression(self) -> str:
        """The codec's name: none, gzip, snappy, lz4 or zstd."""
        return CODEC_NAMES.get(self.codec, "unknown")

    @property
    def timestamp_type(self) -> str:
        """CreateTime or LogAppendTime."""
        return "LogAppendTime" if self.attributes & _LOG_APPEND_TIME else "CreateTime"

    @property
    def is_transactional(self) -> bool:
        """Written within a transaction."""
        return bool(self.attributes & _TRANSACTIONAL)

    @property
    def is_control(self) -> bool:
        """A transaction marker, not data."""
        return bool(self.attributes & _CONTROL)


def parse_native(data: Any, length: int) -> tuple[Any, int]:
    """The native `el_batch` at the beginning of native bytes, whose size_bytes is 0 where none is, and the parser's status."""
    header = ffi.new("el_batch *")
    return header, int(lib.el_batch_parse(data, length, header))


def _batch_of(position: int, header: Any, crc_valid: bool | None = None) -> Batch:
    return Batch(
        position, header.size_bytes, header.base_offset, header.base_offset + header.last_offset_delta, header.record_count,
        header.leader_epoch, header.crc, header.attributes, header.base_timestamp, header.max_timestamp, header.producer_id,
        header.producer_epoch, header.base_sequence, crc_valid,
    )  # fmt: skip


def read_header(descriptor: int, position: int) -> tuple[Batch | None, int]:
    """The batch whose header stands at a position, though the file may end inside it, and the status that its parser gives;
    None where there is no header."""
    data = files.read_at(descriptor, HEADER_BYTES, position) if position >= 0 else b""
    header, status = parse_native(ffi.from_buffer("uint8_t[]", data), len(data))
    return (_batch_of(position, header) if header.size_bytes > 0 else None), status


def headers_from(descriptor: int, position: int) -> Iterator[Batch]:
    """The headers of the batches from a position on, one behind the other, until none stands there."""
    while (batch := read_header(descriptor, position)[0]) is not None:
        yield batch
        position = batch.end


class Block:
    """Bytes of a file from the beginning of a batch on, as Python's `data` and for native code.

    Who goes through it sets `consumed` to the number of bytes that are done with, whole batches, and `next_offset` to the
    offset that the batch behind these may have at least."""

    def __init__(self, position: int, data: bytes, next_offset: int) -> None:
        self.position = position
        self.data = data
        self.native: Any = ffi.from_buffer("uint8_t[]", data)
        self.length = len(data)
        self.consumed = 0
        self.next_offset = next_offset

    @property
    def end(self) -> int:
        """The position in the file behind its bytes."""
        return self.position + self.length

    @property
    def rest(self) -> bytes:
        """The bytes that are not done with."""
        return self.data[self.consumed :]

    def batches(self) -> Iterator[tuple[Batch, bytes]]:
        """The whole batches in it, with their bytes; each is done with as it comes."""
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
    """Go through a .log file from a batch on that has `next_offset`, or a later one, up to the position `stop`.

    A block of which nothing is done with comes again with its first batch whole. Raises `CorruptLogError` if that has come
    whole already, if it reaches behind `stop`, or if there is none."""
    position, wanted = start, block_bytes
    with open(path, "rb") as file:
        while position < stop:
            block = Block(position, files.read_at(file.fileno(), min(wanted, stop - position), position), next_offset)
            yield block
            position, next_offset = position + block.consumed, block.next_offset
            wanted = block_bytes if block.consumed else _bytes_of_first(path, block, stop)


def _bytes_of_first(path: Path, block: Block, stop: int) -> int:
    """How many bytes the batch takes that did not fit into a block."""
    header, status = parse_native(block.native, block.length)
    if status != lib.EL_CODEC_INCOMPLETE or not 0 < header.size_bytes <= stop - block.position:
        raise wrong_batch(path, block.position, status, block.next_offset)
    return int(header.size_bytes)
