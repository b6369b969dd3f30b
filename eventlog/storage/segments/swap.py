"""Putting a compacted segment in the place of those that it was made of.

    1  <base>.log.cleaned and its indexes are written and synced
    2  <base>.compaction, durable, names the segments that are replaced
    3  <base>.log.cleaned becomes <base>.log, the first of them: all offsets are readable at every moment
    4  the other segments are deleted, the indexes follow
    5  <base>.compaction goes

Whoever compacts next finishes what a killed process began: before step 3 nothing has happened, after it the rest is done
again. Until then two segments may hold the same offsets; readers go by offsets that rise, and both of them are right.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

from eventlog.storage.segments import files, names

_INDEX_SUFFIXES = (names.INDEX_SUFFIX, names.TIME_INDEX_SUFFIX)


def swap(directory: Path, base_offset: int, replaced: Sequence[int]) -> None:
    """Let the cleaned files of `base_offset`, which are on disk, become its segment. The caller has the segments locked.

    `replaced` are the base offsets of the other segments that it was made of."""
    content = json.dumps({"replaces": list(replaced)}) + "\n"
    files.replace_file(names.swap_file(directory, base_offset), [content.encode()])
    names.cleaned_file(directory, base_offset).replace(names.segment_file(directory, base_offset))
    files.sync_directory(directory)
    _complete(directory, base_offset, replaced)


def _complete(directory: Path, base_offset: int, replaced: Sequence[int]) -> None:
    for base in replaced:
        files.delete_segment(directory, base)
    for suffix in _INDEX_SUFFIXES:
        cleaned = names.cleaned_file(directory, base_offset, suffix)
        if files.is_there(cleaned):
            cleaned.replace(names.segment_file(directory, base_offset, suffix))
    files.sync_directory(directory)
    names.swap_file(directory, base_offset).unlink(missing_ok=True)


def finish_swaps(directory: Path) -> bool:
    """Finish or undo what a killed process began; True if there was anything. The caller has the segments locked."""
    found = [base for base in map(names.parse_swap_file, sorted(os.listdir(directory))) if base is not None]
    for base in found:
        if files.is_there(names.cleaned_file(directory, base)):
            names.swap_file(directory, base).unlink()
            files.sync_directory(directory)  # before the cleaned files go: without them it would look as if step 3 was done
        else:
            _complete(directory, base, _replaced(names.swap_file(directory, base)))
    return bool(found)


def remove_leftovers(directory: Path) -> None:
    """Remove what a killed compaction has written. The caller is the only one that compacts."""
    for name in os.listdir(directory):
        if name.endswith(names.CLEANED_SUFFIX):
            (directory / name).unlink(missing_ok=True)


def _replaced(path: Path) -> list[int]:
    try:
        bases = json.loads(path.read_bytes())["replaces"]
        return [base for base in bases if type(base) is int and base >= 0]
    except (ValueError, KeyError, TypeError, RecursionError):
        return []  # rotten: the other segments stay, and are compacted once more
