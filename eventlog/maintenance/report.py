"""What a round of housekeeping did, and what it could not do."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

from eventlog.storage.compaction import Compacted


class HeldBack(NamedTuple):
    """A group that keeps retention.acked from deleting more: `committed` is its offset, None while it has none, and so many
    `records` lie behind it."""

    group: str
    committed: int | None
    records: int


class PartitionMaintenance(NamedTuple):
    """What was done to one partition. `reason` is the setting by which segments were deleted, "" if none was; `compacted` is
    None if there was nothing to compact; `held_back_by` names groups only for topics with retention.acked; `rebuilt` are index
    files and checkpoints that were missing or rotten, and were made anew."""

    topic: str
    partition: int
    start_offset: int
    reason: str = ""
    deleted_segments: int = 0
    deleted_bytes: int = 0
    compacted: Compacted | None = None
    held_back_by: tuple[HeldBack, ...] = ()
    rebuilt: tuple[Path, ...] = ()

    @property
    def is_idle(self) -> bool:
        """Was there nothing to do, and nothing to tell?"""
        return not (self.reason or self.compacted or self.held_back_by or self.rebuilt)


class MaintenanceReport(SimpleNamespace):
    """One round of housekeeping. `is_elsewhere` says that another process is at it, so that nothing was done here.

    `failures` are (subject, what was wrong): the rest of the round went on."""

    is_elsewhere: bool
    partitions: list[PartitionMaintenance]
    expired_groups: list[str]
    deleted_topics: list[str]
    failures: list[tuple[str, str]]

    def __init__(self, *, is_elsewhere: bool = False, failures: Sequence[tuple[str, str]] = ()) -> None:
        super().__init__(
            is_elsewhere=is_elsewhere, partitions=[], expired_groups=[], deleted_topics=[], failures=list(failures)
        )
