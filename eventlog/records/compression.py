"""The codecs of a batch's records section, by Kafka's numbers.

Source: https://kafka.apache.org/documentation/#recordbatch (attributes) and KIP-110 (zstd). snappy is framed as the
snappy-java library does ("xerial"); a raw block is accepted too, as Kafka's clients do.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

from eventlog.errors import UnsupportedCodecError

CODEC_NAMES = {0: "none", 1: "gzip", 2: "snappy", 3: "lz4", 4: "zstd"}

_XERIAL_MAGIC = b"\x82SNAPPY\x00"
_XERIAL_HEADER_BYTES = 16


def _cramjam() -> Any:
    try:
        import cramjam
    except ImportError:
        raise UnsupportedCodecError(
            "a batch is compressed, and the codecs are not installed: pip install 'eventlog[compression]'"
        ) from None
    return cramjam


def _decompress_snappy(data: bytes) -> bytes:
    raw = _cramjam().snappy.decompress_raw
    if not data.startswith(_XERIAL_MAGIC):
        return bytes(raw(data))
    parts = []
    at = _XERIAL_HEADER_BYTES
    while at < len(data):
        (length,) = struct.unpack_from(">i", data, at)
        if length < 0 or at + 4 + length > len(data):
            raise ValueError("a snappy block is longer than its batch")
        parts.append(bytes(raw(data[at + 4 : at + 4 + length])))
        at += 4 + length
    return b"".join(parts)


_DECOMPRESSORS: dict[int, Callable[[bytes], bytes]] = {
    1: lambda data: bytes(_cramjam().gzip.decompress(data)),
    2: _decompress_snappy,
    3: lambda data: bytes(_cramjam().lz4.decompress(data)),
    4: lambda data: bytes(_cramjam().zstd.decompress(data)),
}


def decompress(codec: int, data: bytes) -> bytes:
    """Decompress a records section. Raises `ValueError` for bytes the codec refuses, and `UnsupportedCodecError`."""
    decompressor = _DECOMPRESSORS.get(codec)
    if decompressor is None:
        raise ValueError(f"compression codec {codec} is unknown")
    try:
        return decompressor(data)
    except (UnsupportedCodecError, ValueError):
        raise
    except Exception as error:  # cramjam's own error type is not public
        raise ValueError(f"{CODEC_NAMES[codec]}: {error}") from error


def codec_number(name: str) -> int:
    return {v: k for k, v in CODEC_NAMES.items()}[name]
