"""Offsets stored in the directory of a partition: where the log starts, and up to where it was compacted.

Source of the format: Kafka's OffsetCheckpointFile (version 0), of which a broker has one for all its partitions. Ours has an
additional last line with the CRC32C of the others: a wrong start would hide records, or show deleted ones.
"""

from __future__ import annotations

from pathlib import Path

from eventlog.errors import CorruptLogError
from eventlog.records.checksum import checksum_of
from eventlog.storage.segments import files, names
from eventlog.storage.segments.damage import damaged

_LINES = 4


def read_checkpoint(path: Path) -> int | None:
    """The offset in the file; None if the file does not exist or cannot be trusted."""
    try:
        return checked_checkpoint(path)
    except CorruptLogError:
        return None


def checked_checkpoint(path: Path) -> int | None:
    """The offset in the file; None if the file does not exist. Raises `CorruptLogError` if the file is damaged."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    lines = data.splitlines(keepends=True)
    content = b"".join(lines[:-1])
    if len(lines) != _LINES or data != _with_checksum(content):
        raise damaged(path, 0, "not a checkpoint with an offset, or one whose CRC32C does not match")
    return int(lines[-2].split()[-1])


def read_start(directory: Path) -> int:
    """The offset that a partition starts at according to its directory: 0 if no records were ever deleted."""
    return read_checkpoint(directory / names.START_CHECKPOINT) or 0


def write_checkpoint(path: Path, topic: str, partition: int, offset: int) -> None:
    """Replace the offset, durably. Raises `OSError`."""
    files.replace_file(path, [checkpoint_bytes(topic, partition, offset)])


def checkpoint_bytes(topic: str, partition: int, offset: int) -> bytes:
    """The contents of a checkpoint file."""
    return _with_checksum(f"0\n1\n{topic} {partition} {offset}\n".encode("ascii"))


def _with_checksum(content: bytes) -> bytes:
    return content + b"crc32c %08x\n" % checksum_of(content)
