"""What a partition is made of, for those who look after its segments: deletion, retention, compaction."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from eventlog._native import lib
from eventlog.errors import TopicNotFoundError
from eventlog.holding import Holding
from eventlog.storage.mapped.poison import DELETED
from eventlog.storage.partition.appender import Appender
from eventlog.storage.segments.lock import segments_locked
from eventlog.storage.segments.swap import finish_swaps
from eventlog.waiting import Signals


class MappedHead(NamedTuple):
    """The head as it is mapped, by itself: it stays so when another thread closes the partition."""

    pointer: Any

    @property
    def poison(self) -> int:
        """The errno of the failure that poisoned the partition, or what stands for it."""
        return int(lib.el_head_poison(self.pointer))

    @property
    def may_have_gaps(self) -> bool:
        """Has compaction or repair taken records out of the middle, or may it do so?"""
        return bool(lib.el_head_may_have_gaps(self.pointer))


class Parts(NamedTuple):
    """The parts of an open partition. Sealed segments are deleted or replaced under `locked` only."""

    topic: str
    partition: int
    directory: Path
    head: MappedHead
    appender: Appender
    signals: Signals
    lock_timeout_ms: int

    def __str__(self) -> str:
        return f"{self.topic}-{self.partition}"

    def locked(self) -> Holding[None]:
        """Be the only one, of all processes, who deletes, replaces or copies segments; what a killed one began
        is finished first.

        The block raises `LockTimeoutError`, and `TopicNotFoundError` if the topic was deleted: what has its name may be another
        one."""
        return segments_locked(self.directory, self.lock_timeout_ms, self._finish_swaps)

    def _finish_swaps(self) -> None:
        if self.head.poison == DELETED:
            raise TopicNotFoundError(f"the topic of {self.directory.name} was deleted")
        if finish_swaps(self.directory):
            lib.el_head_segments_changed(self.head.pointer)
