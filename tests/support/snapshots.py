"""What a store looks like from outside, to show that a refused call changed nothing."""

from __future__ import annotations

from pathlib import Path

# LMDB keeps its table of readers here; looking at the catalog changes it.
_READERS = "lock.mdb"


def content(store: Path) -> dict[str, bytes | None]:
    """The bytes of every file, and None for every directory, by their paths in the store."""
    return {
        str(path.relative_to(store)): None if path.is_dir() else path.read_bytes()
        for path in store.rglob("*")
        if path.name != _READERS
    }
