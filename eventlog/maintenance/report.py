"""What a round of housekeeping did, and what it could not do."""

from __future__ import annotations

from dataclasses import dataclass, field

from eventlog.storage.compaction import Compacted


@dataclass(frozen=True)
class HeldBack:
    """A group that keeps retention.acked from deleting more: `committed` is its offset, None while it has none, and so many
    `records` lie behind it."""

    group: str
    committed: int | None
    records: int


@dataclass(frozen=True)
class PartitionMaintenance:
    """What was done to one partition. `reason` is the setting by which segments were deleted, "" if none was; `compacted` is
    None if there was nothing to compact; `held_back_by` names groups only for topics with retention.acked."""

    topic: str
    partition: int
    start_offset: int
    reason: str = ""
    deleted_segments: int = 0
    deleted_bytes: int = 0
    compacted: Compacted | None = None
    held_back_by: tuple[HeldBack, ...] = ()

    @property
    def is_idle(self) -> bool:
        """Was there nothing to do, and nothing to tell?"""
        return not (self.reason or self.compacted or self.held_back_by)


@dataclass
class MaintenanceReport:
    """One round of housekeeping. `is_elsewhere` says that another process is at it, so that nothing was done here.

    `failures` are (subject, what was wrong): the rest of the round went on."""

    is_elsewhere: bool = False
    partitions: list[PartitionMaintenance] = field(default_factory=list)
    expired_groups: list[str] = field(default_factory=list)
    deleted_topics: list[str] = field(default_factory=list)
    failures: list[tuple[str, str]] = field(default_factory=list)
