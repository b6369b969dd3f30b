"""A partition in a store that is open to read: nothing in its directory is changed, created or locked."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NoReturn

from eventlog.errors import ReadOnlyStoreError, translates_os_errors
from eventlog.holding import Holding
from eventlog.storage.mapped.followed_head import FollowedHead
from eventlog.storage.mapped.head import Head
from eventlog.storage.mapped.head_health import read_head_health
from eventlog.storage.partition.log import PartitionLog
from eventlog.storage.segments import files, names
from eventlog.storage.segments.claims import Claim
from eventlog.storage.segments.headers import new_tail
from eventlog.storage.segments.producer_snapshots import read_producers, recover_producers, snapshot_offsets
from eventlog.storage.segments.producer_table import ProducerState
from eventlog.storage.segments.recovery import Recovered, RecoveryReport, recover


@translates_os_errors()
class ReadOnlyPartitionLog(PartitionLog):
    """The batches of a partition, for reading only. Its `head` follows that of the processes that append; without such, it ends
    after the last valid batch, and `recovery` says what recovery would do to what follows.

    Whatever would write raises `ReadOnlyStoreError`."""

    def _opened_head(self, store: Path, claim: Claim, limits: Any, *, may_have_gaps: bool) -> tuple[Head, RecoveryReport]:
        def inspect() -> Recovered:
            checkpoint = read_head_health(names.head_file(store, self.topic, self.partition)).checkpoint
            if checkpoint is None and not _has_segments(self.directory):  # nothing was appended yet
                return Recovered(new_tail(0), 0, 0, 0, RecoveryReport("created"))
            recovered = recover(self.directory, self.directory, checkpoint, limits.index_interval_bytes, change=False)
            has_producers = files.is_there(names.producers_file(store, self.topic, self.partition))
            if has_producers or snapshot_offsets(self.directory):
                recover_producers(self.directory, recovered.tail, change=False)
            return recovered

        head = FollowedHead(
            store, self.topic, self.partition, self.signals, limits, inspect, may_have_gaps=may_have_gaps
        )  # fmt: skip
        return head, head.report

    def _tell_recovery(self) -> None:
        """Nothing was recovered."""

    def _rebuild_indexes(self, base_offset: int) -> None:
        """Leave a wrong index to those who may write; without it, reading takes longer."""

    def check_in_place(self) -> None:
        """Find out whether others use the partition now."""
        self._head.check_in_place()

    def complete_swaps(self) -> None:
        """Leave that to those who may write."""

    def producers(self) -> list[ProducerState]:
        """The producers with an id that have appended here, sorted by it: read from the log."""
        self.check_open()
        tail = self._appender.tail()
        return sorted(read_producers(self.directory, tail).producers()) if tail.producers_offset >= 0 else []

    def flush(self, offset: int | None = None) -> None:
        """Raises `ReadOnlyStoreError`."""
        self._refuse_change()

    def roll(self) -> None:
        """Raises `ReadOnlyStoreError`."""
        self._refuse_change()

    def save_producers(self) -> None:
        """Raises `ReadOnlyStoreError`."""
        self._refuse_change()

    def locked(self) -> Holding[None]:
        """Raises `ReadOnlyStoreError`."""
        self._refuse_change()

    def _refuse_change(self) -> NoReturn:
        self.check_open()
        raise ReadOnlyStoreError(f'{self!r} is open to read only: open the store without mode="r" to change it')


def _has_segments(directory: Path) -> bool:
    try:
        return bool(files.segment_bases(directory))
    except FileNotFoundError:
        return False
