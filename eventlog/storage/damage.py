"""The error that tells of damage to a partition's files."""

from __future__ import annotations

from pathlib import Path

from eventlog.errors import CorruptLogError
from eventlog.storage import names


def damaged(path: Path, position: int, reason: str, offset: int | None = None) -> CorruptLogError:
    """An error about a partition's directory or a file in it, which names the partition; it cannot be read from `offset` on."""
    for name in (path.name, path.parent.name):
        if (place := names.parse_partition_directory(name)) is not None:
            return CorruptLogError(path, position, reason, *place, offset)
    return CorruptLogError(path, position, reason)
