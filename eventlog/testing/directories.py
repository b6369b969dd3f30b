"""Where the stores of tests are: in memory, if there is room."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_IN_MEMORY = Path("/dev/shm")  # where a store is created in 3 ms; on a disk that takes up to 0.1 s
_FREE_BYTES_MIN = 2**30


@contextmanager
def temporary_directory() -> Iterator[Path]:
    """A new directory, which is deleted at the end of the block."""
    directory = tempfile.mkdtemp(prefix="eventlog-", dir=_IN_MEMORY if _is_roomy(_IN_MEMORY) else None)
    try:
        yield Path(directory)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _is_roomy(directory: Path) -> bool:
    """Can files of some size be created there? The shared memory of a container often has only 64 MiB."""
    try:
        free = os.statvfs(directory)
    except OSError:
        return False
    return os.access(directory, os.W_OK) and free.f_bavail * free.f_frsize >= _FREE_BYTES_MIN
