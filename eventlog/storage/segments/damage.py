"""The errors that describe what is wrong in a partition's files, or cannot be read there."""

from __future__ import annotations

from pathlib import Path

from eventlog._native import ffi, lib
from eventlog.errors import CorruptLogError, UnsupportedFormatError
from eventlog.storage.segments import names
from eventlog.storage.segments.formats import foreign_format


def damaged(path: Path, position: int, reason: str, offset: int | None = None) -> CorruptLogError:
    """An error about a partition's directory or a file in it, which names the partition; it cannot be read from `offset` on."""
    topic, partition = _partition_of(path)
    return CorruptLogError(path, position, reason, topic, partition, offset)


def wrong_batch(path: Path, position: int, status: int, next_offset: int, offset: int | None = None) -> CorruptLogError:
    """The error for what is at a position of a .log file instead of a batch with `next_offset`, and has this native status.

    `offset` is the first offset that cannot be read; None: `next_offset`."""
    offset = next_offset if offset is None else offset
    format_name = foreign_format(path, position, next_offset)
    if format_name is not None:
        topic, partition = _partition_of(path)
        return UnsupportedFormatError(path, position, format_name, topic, partition, offset)
    if status == lib.EL_CODEC_BAD_OFFSET and (base_offset := _offset_at(path, position)) > next_offset:
        return damaged(path, position, gap(next_offset, base_offset), offset)
    return damaged(path, position, ffi.string(lib.el_codec_status_text(status)).decode(), offset)


def gap(first: int, following: int) -> str:
    """Why offsets that are missing before a valid batch, or before a segment, are damage."""
    span = f"offset {first} is" if following == first + 1 else f"offsets {first} to {following - 1} are"
    return f"{span} missing, a gap: if Kafka has compacted this topic, set cleanup.policy=compact, which allows gaps"


def _offset_at(path: Path, position: int) -> int:
    with open(path, "rb") as file:
        file.seek(position)
        return int.from_bytes(file.read(8), "big", signed=True)


def _partition_of(path: Path) -> tuple[str, int] | tuple[None, None]:
    for name in (path.name, path.parent.name):
        if (parsed := names.parse_partition_directory(name)) is not None:
            return parsed
    return None, None
