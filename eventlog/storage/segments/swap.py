"""Replacing segments by the compacted segment that was made from them.

    1  <base>.log.cleaned and its indexes are written and synced
    2  <base>.compaction, durable, names the segments that are replaced
    3  <base>.log.cleaned becomes <base>.log, the first of them: all offsets are readable at every moment
    4  the other segments are deleted, the indexes follow
    5  <base>.compaction is deleted

The next process to compact finishes what a killed process left unfinished: before step 3 nothing has changed, after it the
remaining steps are repeated. Until then two segments may contain the same offsets; readers follow rising offsets, and both
segments are right.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

from eventlog.storage.segments import files, names

_INDEX_SUFFIXES = (names.INDEX_SUFFIX, names.TIME_INDEX_SUFFIX)


def swap(directory: Path, base_offset: int, replaced: Sequence[int]) -> None:
    """Make the cleaned files of `base_offset`, which are on disk, its segment. The caller has the segments locked.

    `replaced` are the base offsets of the other segments that it was made from."""
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
    """Finish or undo swaps of a killed process; True if there were any. The caller has the segments locked."""
    found = [base for base in map(names.parse_swap_file, sorted(os.listdir(directory))) if base is not None]
    for base in found:
        if files.is_there(names.cleaned_file(directory, base)):
            names.swap_file(directory, base).unlink()
            files.sync_directory(directory)  # before the cleaned files are deleted: without them, step 3 would seem to be done
        else:
            _complete(directory, base, _replaced(names.swap_file(directory, base)))
    return bool(found)


def remove_leftovers(directory: Path) -> None:
    """Remove the files that a killed compaction wrote. The caller must be the only one that compacts."""
    for name in os.listdir(directory):
        if name.endswith(names.CLEANED_SUFFIX):
            (directory / name).unlink(missing_ok=True)


def _replaced(path: Path) -> list[int]:
    try:
        bases = json.loads(path.read_bytes())["replaces"]
        return [base for base in bases if type(base) is int and base >= 0]
    except (ValueError, KeyError, TypeError, RecursionError):
        return []  # damaged: the other segments stay, and are compacted again
