"""Offsets that the directory of a partition remembers: where the log starts, and up to where it was compacted.

Source of the format: Kafka's OffsetCheckpointFile (version 0). A broker has one such file for all its partitions.
"""

from __future__ import annotations

from pathlib import Path

from eventlog.storage import files, names


def read_checkpoint(path: Path) -> int | None:
    """The offset in the file; None where there is none, or none that can be read."""
    try:
        lines = path.read_text("ascii").splitlines()
        is_known = lines[:2] == ["0", "1"] and len(lines) == 3
        offset = int(lines[2].split()[-1]) if is_known else -1
    except (FileNotFoundError, ValueError, IndexError):
        return None
    return offset if offset >= 0 else None


def read_start(directory: Path) -> int:
    """The offset that a partition starts at, as far as its directory says so: 0 where no records were ever deleted."""
    return read_checkpoint(directory / names.START_CHECKPOINT) or 0


def write_checkpoint(path: Path, topic: str, partition: int, offset: int) -> None:
    """Replace the offset, durably. Raises `OSError`."""
    files.replace_file(path, [f"0\n1\n{topic} {partition} {offset}\n".encode("ascii")])
