"""The producers of a partition at rest: Kafka's .snapshot files, and what recovery rebuilds from them and the log.

A snapshot is named by the offset before which it contains all batches. It is written when a segment is sealed, and when the
last process closes the partition.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from eventlog.errors import CorruptLogError
from eventlog.storage.segments import files, names
from eventlog.storage.segments.aborted_index import read_aborted, write_aborted
from eventlog.storage.segments.batches import walk
from eventlog.storage.segments.headers import new_tail
from eventlog.storage.segments.producer_table import Aborted, ProducerTable


def snapshot_offsets(directory: Path) -> list[int]:
    """The offsets of the snapshots in a directory, in order."""
    return sorted(offset for offset in map(names.parse_snapshot, os.listdir(directory)) if offset is not None)


def write_snapshot(directory: Path, table: ProducerTable, offset: int) -> None:
    """Write the snapshot at an offset, durably, and remove those that are neither the newest nor at the start of a segment."""
    files.replace_file(_path(directory, offset), [table.to_bytes()])
    _remove(directory, (each for each in snapshot_offsets(directory)[:-1] if each != offset), files.segment_bases(directory))


def _path(directory: Path, offset: int) -> Path:
    return names.segment_file(directory, offset, names.SNAPSHOT_SUFFIX)


def _remove(directory: Path, offsets: Iterable[int], bases: Sequence[int]) -> None:
    for offset in offsets:
        if offset not in bases:
            _path(directory, offset).unlink(missing_ok=True)


def _newest(directory: Path, offset_max: int) -> ProducerTable | None:
    for offset in reversed(snapshot_offsets(directory)):
        if offset <= offset_max:
            with suppress(FileNotFoundError):  # deleted with its segment just now
                table = ProducerTable.from_bytes(_path(directory, offset).read_bytes(), offset)
                if table is not None:
                    return table
    return None


def read_producers(directory: Path, tail: Any) -> ProducerTable:
    """The producers in the log up to a native `el_tail`, from the newest snapshot and the batches after it."""
    return _replayed(directory, tail, _newest(directory, tail.end_offset), {})


def _replayed(directory: Path, tail: Any, table: ProducerTable | None, aborted: dict[int, list[Aborted]]) -> ProducerTable:
    """The table, or an empty one, with the batches after it; the transactions that they abort go to `aborted`, by segment."""
    bases = [base for base in files.segment_bases(directory) if base <= tail.segment_base]
    if table is None:
        table = ProducerTable(end_offset=bases[0] if bases else 0)
    for base, following in zip(bases, [*bases[1:], tail.end_offset], strict=True):
        if following > table.native.end_offset:
            with suppress(FileNotFoundError, CorruptLogError):  # what a damaged segment says is unknown; its readers are told
                path = names.segment_file(directory, base)
                size_bytes = tail.position if base == tail.segment_base else files.size_of(path)
                written_ms = path.stat().st_mtime_ns // 1_000_000
                for block in walk(path, 0, size_bytes, base):
                    aborted.setdefault(base, []).extend(table.replay(block, written_ms))
            table.native.end_offset = max(table.native.end_offset, following)
    return table


def recover_producers(directory: Path, tail: Any, *, change: bool) -> None:
    """Add to the native `el_tail` of a recovered partition what it says about producers and transactions, and rebuild the
    index of the aborted ones in the last segment and in all after the snapshot.

    With `change` False no file is changed."""
    aborted: dict[int, list[Aborted]] = {}
    snapshot = _newest(directory, tail.segment_base)
    start = 0 if snapshot is None else int(snapshot.native.end_offset)
    table = _replayed(directory, tail, snapshot, aborted)
    tail.first_unstable = table.first_open
    tail.producers_offset = tail.end_offset if table.native.count else -1
    aborted.setdefault(tail.segment_base, [])
    if change:
        for base, entries in aborted.items():
            before = read_aborted(directory, base, start) if base < start else []
            size_bytes = write_aborted(directory, base, [*before, *entries])
            if base == tail.segment_base:
                tail.aborted_index_bytes = size_bytes
        for offset in snapshot_offsets(directory):
            if offset > tail.end_offset:
                _path(directory, offset).unlink(missing_ok=True)
        write_snapshot(directory, table, tail.end_offset)
    tail.aborts = sum(len(read_aborted(directory, base, tail.end_offset)) for base in files.segment_bases(directory))


def rebuild_aborted_index(directory: Path, base_offset: int) -> None:
    """Rebuild the index of aborted transactions of a sealed segment; the caller prevents others from replacing segments."""
    bases = files.segment_bases(directory)
    tail = new_tail(base_offset)
    tail.end_offset = bases[bases.index(base_offset) + 1]
    tail.position = files.size_of(names.segment_file(directory, base_offset))
    aborted: dict[int, list[Aborted]] = {}
    _replayed(directory, tail, _newest(directory, base_offset), aborted)
    write_aborted(directory, base_offset, aborted.get(base_offset, []))
