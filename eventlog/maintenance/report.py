"""What a round of housekeeping did, and what it could not do."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

from eventlog.storage.cleaning.compaction import Compacted
from eventlog.storage.cleaning.transactions import OpenTransaction


class HeldBack(NamedTuple):
    """A group that keeps retention.acked from deleting more: `committed` is its offset, None while it has none, and `records`
    the number of records after it."""

    group: str
    committed: int | None
    records: int


class PartitionMaintenance(NamedTuple):
    """What was done to one partition, or would be. `reason` is the setting by which segments were deleted, "" if none was: so
    many `deleted_segments` of `deleted_bytes`, with `deleted_records` offsets in them; the first record there is of
    `oldest_ms`, the latest of `newest_ms` (ms since the epoch; None: nothing was deleted, or it has no timestamps).
    `compacted` is None if there was nothing to compact; `held_back_by` names groups only for topics with retention.acked;
    `rebuilt` are index files and checkpoints that were missing or damaged, and were rebuilt. `open_transaction` has not ended,
    and keeps everything from its first record on from being compacted."""

    topic: str
    partition: int
    start_offset: int
    reason: str = ""
    deleted_segments: int = 0
    deleted_bytes: int = 0
    compacted: Compacted | None = None
    held_back_by: tuple[HeldBack, ...] = ()
    rebuilt: tuple[Path, ...] = ()
    deleted_records: int = 0
    oldest_ms: int | None = None
    newest_ms: int | None = None
    open_transaction: OpenTransaction | None = None

    @property
    def is_idle(self) -> bool:
        """Was there nothing to do, and nothing to report?"""
        return not (self.reason or self.compacted or self.held_back_by or self.rebuilt or self.open_transaction)


class MaintenanceReport(SimpleNamespace):
    """One round of housekeeping. `is_elsewhere` says that another process is doing it, so nothing was done here.

    With `is_dry_run` nothing was done either: it says what a round would do. `failures` are pairs of a subject and what was
    wrong; the rest of the round was done."""

    is_elsewhere: bool
    is_dry_run: bool
    partitions: list[PartitionMaintenance]
    expired_groups: list[str]
    deleted_topics: list[str]
    failures: list[tuple[str, str]]

    def __init__(
        self, *, is_elsewhere: bool = False, is_dry_run: bool = False, failures: Sequence[tuple[str, str]] = ()
    ) -> None:
        super().__init__(
            is_elsewhere=is_elsewhere,
            is_dry_run=is_dry_run,
            partitions=[],
            expired_groups=[],
            deleted_topics=[],
            failures=list(failures),
        )
