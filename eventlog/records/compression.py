"""The codecs of a batch's records section, by Kafka's numbers, at the levels that are Kafka's defaults.

Sources: https://kafka.apache.org/documentation/#recordbatch (attributes), KIP-110 (zstd) and KIP-390 (levels). snappy is
framed as the snappy-java library does ("xerial"); a raw block is read too, as Kafka's clients do. lz4 is one frame of
https://github.com/lz4/lz4/blob/dev/doc/lz4_Frame_format.md, zstd one of RFC 8878. gzip is Python's own zlib, the others
need cramjam.

Decompressing takes memory for what comes out of a section, at most `SECTION_BYTES_MAX`, whatever the section claims. That is
the bound for each reader; there is none for all readers of a process together.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from typing import Any

from eventlog._native import ffi
from eventlog.errors import InvalidArgumentError, InvalidTypeError, UnsupportedCodecError

NO_CODEC = 0
CODEC_NAMES = {NO_CODEC: "none", 1: "gzip", 2: "snappy", 3: "lz4", 4: "zstd"}
CODEC_NUMBERS = {name: number for number, name in CODEC_NAMES.items()}

SECTION_BYTES_MAX = 2**30
"""What a decompressed records section may hold: as much as a batch of the largest max.message.bytes."""

_OF_CRAMJAM = ("snappy", "lz4", "zstd")
_GZIP_WINDOW_BITS = 16 + zlib.MAX_WBITS  # 16 asks zlib for gzip's header and trailer
_XERIAL_MAGIC = b"\x82SNAPPY\x00"
_XERIAL_VERSIONS = struct.pack(">ii", 1, 1)  # written in, and readable from
_XERIAL_HEADER_BYTES = len(_XERIAL_MAGIC) + len(_XERIAL_VERSIONS)
_XERIAL_BLOCK_BYTES = 32 * 1024
_LZ4_LEVEL = 1
_LZ4_RATIO_MAX = 255
_LZ4_HEADER_BYTES = 7
_FULL = "write whole buffer"  # what cramjam says if the output does not hold what comes out
_ZSTD_LEVEL = 3
_ZSTD_BLOCK_BYTES_MAX = 128 * 1024
_ZSTD_REPEATED_BYTE, _ZSTD_COMPRESSED = 1, 2


def codec_number(name: str) -> int:
    """Kafka's number of none, gzip, snappy, lz4 or zstd. Raises `InvalidArgumentError`, `InvalidTypeError`."""
    if not isinstance(name, str):
        raise InvalidTypeError(f"compression must be a str, not {type(name).__name__}")
    if name not in CODEC_NUMBERS:
        raise InvalidArgumentError(f"compression is {name!r}, but must be one of {', '.join(CODEC_NUMBERS)}")
    return CODEC_NUMBERS[name]


def check_codec(name: str | None) -> None:
    """Raise `UnsupportedCodecError` if records cannot be compressed so; any other name stands for no codec."""
    if name in _OF_CRAMJAM:
        _cramjam(name)


def _cramjam(codec: str) -> Any:
    try:
        import cramjam
    except ImportError:
        raise UnsupportedCodecError(
            f"{codec} needs a library that is not installed: pip install 'eventlog-store[compression]'"
        ) from None
    return getattr(cramjam, codec)


def _compress_gzip(data: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=_GZIP_WINDOW_BITS)
    return compressor.compress(data) + compressor.flush()


def _compress_snappy(data: bytes) -> bytes:
    compress_raw = _cramjam("snappy").compress_raw
    parts = [_XERIAL_MAGIC, _XERIAL_VERSIONS]
    for start in range(0, len(data), _XERIAL_BLOCK_BYTES):
        block = bytes(compress_raw(data[start : start + _XERIAL_BLOCK_BYTES]))
        parts += (struct.pack(">i", len(block)), block)
    return b"".join(parts)


def _compress_lz4(data: bytes) -> bytes:
    # Kafka refuses blocks that depend on one another. A checksum of the content would repeat the batch's own.
    compressor = _cramjam("lz4").Compressor(level=_LZ4_LEVEL, content_checksum=False, block_linked=False)
    compressor.compress(data)
    return bytes(compressor.finish())


def _compress_zstd(data: bytes) -> bytes:
    return bytes(_cramjam("zstd").compress(data, level=_ZSTD_LEVEL))


_COMPRESSORS: dict[int, Callable[[bytes], bytes]] = {
    1: _compress_gzip,
    2: _compress_snappy,
    3: _compress_lz4,
    4: _compress_zstd,
}


def compress(codec: int, data: bytes) -> bytes:
    """Compress a records section with a codec other than none. Raises `UnsupportedCodecError`."""
    return _COMPRESSORS[codec](data)


class SectionTooLargeError(ValueError):
    """A section that decompresses to more bytes than are allowed."""


def _too_large(bytes_max: int) -> SectionTooLargeError:
    return SectionTooLargeError(f"the section would decompress to more than {bytes_max} bytes")


def _check_size(size: int, bytes_max: int) -> None:
    if size > bytes_max:
        raise _too_large(bytes_max)


def _decompress_gzip(data: bytes, bytes_max: int) -> bytes:
    decompressor = zlib.decompressobj(_GZIP_WINDOW_BITS)
    section = decompressor.decompress(data, bytes_max + 1)
    _check_size(len(section), bytes_max)
    if not decompressor.eof or decompressor.unused_data:
        raise ValueError("the stream ends before or after the section does")
    return section


def _decompress_snappy(data: bytes, bytes_max: int) -> bytes:
    snappy = _cramjam("snappy")
    blocks = list(_xerial_blocks(data)) if data.startswith(_XERIAL_MAGIC) else [data]
    _check_size(sum(snappy.decompress_raw_len(block) for block in blocks), bytes_max)
    return b"".join(bytes(snappy.decompress_raw(block)) for block in blocks)


def _xerial_blocks(data: bytes) -> list[bytes]:
    blocks = []
    at = _XERIAL_HEADER_BYTES
    while at < len(data):
        (length,) = struct.unpack_from(">i", data, at)
        at += 4
        if not 0 <= length <= len(data) - at:
            raise ValueError("a block is longer than its section")
        blocks.append(data[at : at + length])
        at += length
    return blocks


def _decompress_frame(codec: str, data: bytes, size_max: int, bytes_max: int) -> bytes:
    # cramjam's own buffers grow without a bound, so it gets one of ours; a large one takes memory only where it is filled.
    output = ffi.buffer(ffi.new("uint8_t[]", min(size_max, bytes_max)))
    try:
        length = _cramjam(codec).decompress_into(data, output)
    except Exception as error:
        if size_max > bytes_max and _FULL in str(error):
            raise _too_large(bytes_max) from error
        raise
    return bytes(output[:length])


def _decompress_lz4(data: bytes, bytes_max: int) -> bytes:
    return _decompress_frame("lz4", data, _lz4_size_max(data), bytes_max)


def _lz4_size_max(data: bytes) -> int:
    """What the blocks of a frame can hold at most, from their sizes alone."""
    flags, block_descriptor = data[4], data[5]
    block_bytes_max = 1 << 2 * (block_descriptor >> 4 & 7) + 8
    checksum_bytes = 4 if flags & 0x10 else 0
    at = _LZ4_HEADER_BYTES + (8 if flags & 0x08 else 0) + (4 if flags & 0x01 else 0)
    size_max = 0
    while True:
        (size,) = struct.unpack_from("<I", data, at)
        if size == 0:
            return size_max
        size &= 0x7FFFFFFF
        size_max += min(_LZ4_RATIO_MAX * size, block_bytes_max)
        at += 4 + size + checksum_bytes


def _decompress_zstd(data: bytes, bytes_max: int) -> bytes:
    descriptor = data[4]
    is_single_segment = descriptor >> 5 & 1
    at = 5 + (1 - is_single_segment) + (0, 1, 2, 4)[descriptor & 3]
    content_size_bytes = (is_single_segment, 2, 4, 8)[descriptor >> 6]
    if content_size_bytes:
        size = int.from_bytes(data[at : at + content_size_bytes], "little") + (256 if content_size_bytes == 2 else 0)
        _check_size(size, bytes_max)
        return _decompress_frame("zstd", data, size, bytes_max)
    return _decompress_frame("zstd", data, _zstd_size_max(data, at), bytes_max)


def _zstd_size_max(data: bytes, at: int) -> int:
    """What the blocks from `at` on can hold at most, from their headers alone: a frame that was streamed says no size."""
    size_max = 0
    is_last = 0
    while not is_last:
        low, high = struct.unpack_from("<HB", data, at)
        is_last, kind, size = low & 1, low >> 1 & 3, (high << 16 | low) >> 3
        size_max += _ZSTD_BLOCK_BYTES_MAX if kind == _ZSTD_COMPRESSED else size
        at += 3 + (1 if kind == _ZSTD_REPEATED_BYTE else size)
    return size_max


_DECOMPRESSORS: dict[int, Callable[[bytes, int], bytes]] = {
    1: _decompress_gzip,
    2: _decompress_snappy,
    3: _decompress_lz4,
    4: _decompress_zstd,
}


def decompress(codec: int, data: bytes, bytes_max: int | None = None) -> bytes:
    """Decompress a records section, to at most `bytes_max` bytes; None: `SECTION_BYTES_MAX`.

    Raises `SectionTooLargeError`, another `ValueError` for bytes the codec refuses, and `UnsupportedCodecError`."""
    decompressor = _DECOMPRESSORS.get(codec)
    if decompressor is None:
        raise UnsupportedCodecError(f"a batch is compressed with codec {codec}, which this version of eventlog does not know")
    try:
        return decompressor(data, SECTION_BYTES_MAX if bytes_max is None else bytes_max)
    except (UnsupportedCodecError, SectionTooLargeError, MemoryError):
        raise
    except Exception as error:  # cramjam's own error type is not public
        raise ValueError(f"{CODEC_NAMES[codec]}: {error}") from error
