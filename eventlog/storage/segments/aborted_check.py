"""Comparing the indexes of aborted transactions with what the log says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from eventlog.storage.segments import names
from eventlog.storage.segments.aborted_index import ENTRY, VERSION, read_entries
from eventlog.storage.segments.batches import Batch, Block
from eventlog.storage.segments.producer_table import Aborted, ProducerTable


class WrongEntry(NamedTuple):
    """What is wrong in an index of aborted transactions, and where (in bytes)."""

    path: Path
    position: int
    reason: str


class AbortedCheck:
    """Follows the transactions in a log from its segment at `first_base` on, and checks each segment's index.

    A transaction may have begun before that segment, and compaction (`may_have_gaps`) removes batches and indexes: then only
    what cannot be right is wrong."""

    def __init__(self, directory: Path, first_base: int, *, may_have_gaps: bool) -> None:
        self._directory = directory
        self._first_base = first_base
        self._may_have_gaps = may_have_gaps
        self._table = ProducerTable(end_offset=first_base)
        self._aborted: list[Aborted] = []

    def add(self, batch: Batch, data: bytes) -> None:
        """Take note of a valid batch."""
        if batch.producer_id >= 0:
            self._aborted += self._table.replay(Block(batch.position, data, batch.base_offset), 0)

    def wrong_entries(self, base_offset: int, stop: int, batches: Mapping[int, Batch]) -> Iterator[WrongEntry]:
        """What is wrong in the index of the segment whose batches were the last to be added; `batches` has them by their last
        offsets. An entry for `stop` or a later offset belongs to an append in progress."""
        path = names.segment_file(self._directory, base_offset, names.ABORTED_INDEX_SUFFIX)
        missing = {(each.producer_id, each.last_offset): each for each in self._aborted}
        self._aborted = []
        entries = read_entries(path)
        for number, (version, entry) in enumerate(entries):
            if entry.last_offset < stop:
                right = missing.pop((entry.producer_id, entry.last_offset), None)
                if version != VERSION or not self._agrees(entry, right, base_offset, batches.get(entry.last_offset)):
                    yield WrongEntry(path, number * ENTRY.size, f"{entry} is not what the log says: {right or 'nothing'}")
        if not self._may_have_gaps:
            for each in missing.values():
                yield WrongEntry(path, len(entries) * ENTRY.size, f"{each} is missing")

    def _agrees(self, entry: Aborted, right: Aborted | None, base_offset: int, marker: Batch | None) -> bool:
        if self._first_base == 0 and not self._may_have_gaps:
            return entry == right
        if right is not None and entry.first_offset == right.first_offset:
            return True  # which others were open, the rest of the log may no longer tell
        is_marker = marker is not None and marker.is_control and marker.producer_id == entry.producer_id
        if self._may_have_gaps:
            is_possible = base_offset <= entry.last_offset and 0 <= entry.first_offset < entry.last_offset
            return is_possible and (marker is None or is_marker)
        return is_marker and 0 <= entry.first_offset < self._first_base
