"""Log compaction: a topic with cleanup.policy=compact keeps the latest record of each key.

A pass collects the latest offset of every key in the dirty part, that is, the records after those that were compacted before,
and then rewrites all sealed segments without superseded records. Offsets do not change, appends and reads continue, and the
active segment is not changed. A pass uses as much memory as it is given: if the keys do not fit, it ends at the first record
that does not fit, and the next pass continues there.
Source of the algorithm: Kafka's LogCleaner (https://kafka.apache.org/documentation/#compaction).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import takewhile
from typing import NamedTuple

from eventlog.errors import DiskFullError
from eventlog.options import TopicConfig
from eventlog.storage.cleaning.cleaner import Cleaner
from eventlog.storage.cleaning.retention import Segment, latest_ms, list_segments, time_written
from eventlog.storage.cleaning.transactions import OpenTransaction, find_transactions
from eventlog.storage.partition.log import PartitionLog
from eventlog.storage.segments import names
from eventlog.storage.segments.aborted_index import AbortedList
from eventlog.storage.segments.checkpoints import read_checkpoint, write_checkpoint
from eventlog.storage.segments.headers import first_timestamp

MEMORY_BYTES = 32 * 2**20

_TOMBSTONES_TOGETHER = 16  # tombstones due within this fraction of delete.retention.ms are removed in one pass


class Compacted(NamedTuple):
    """What compaction did to a partition's sealed segments, or would do; everything before `end_offset` is now compacted.

    `reason` is the setting that made it worthwhile: min.cleanable.dirty.ratio, max.compaction.lag.ms, delete.retention.ms
    (tombstones were due), or cleanup.policy if it was requested."""

    end_offset: int
    records_before: int
    records_after: int
    bytes_before: int
    bytes_after: int
    reason: str = "cleanup.policy"


class _Work(NamedTuple):
    """What is compacted, with which settings, and when."""

    log: PartitionLog
    settings: TopicConfig
    now_ms: int
    memory_bytes: int
    force: bool
    dry_run: bool
    note_open: Callable[[OpenTransaction], object]


def compact(
    log: PartitionLog,
    settings: TopicConfig,
    now_ms: int,
    *,
    memory_bytes: int = MEMORY_BYTES,
    force: bool = False,
    dry_run: bool = False,
    note_open: Callable[[OpenTransaction], object] = lambda _: None,
) -> Compacted | None:
    """Compact a partition if that is worthwhile by the topic's settings or, with `force`, if there is anything; else None.

    The active segment is sealed and compacted with the others if no append would seal it in time, and with `force`. With
    `dry_run` the pass only counts what would stay, as far as one pass gets. `note_open` is called with a transaction that has
    not ended and thus prevents what follows it from being compacted. Raises `CorruptLogError`: damaged data is never
    rewritten. Raises `OSError` on a full disk, and then nothing has changed."""
    work = _Work(log, settings, now_ms, memory_bytes, force, dry_run, note_open)
    with suppress(FileNotFoundError):  # segments were deleted meanwhile: the next round compacts
        active = list_segments(log)[-1]
        may_be_sealed = active.size_bytes > 0 and not _is_young(active, settings, now_ms)
        is_due = may_be_sealed and _is_due(work, active)
        if dry_run:
            return _compact_sealed(work, active if may_be_sealed and (is_due or force) else None)
        if is_due:
            _seal_active(log)
        done = _compact_sealed(work)
        if force and may_be_sealed and not is_due:  # after the rest: if that is damaged, nothing is changed
            _seal_active(log)
            done = _joined(done, _compact_sealed(work))
        return done
    return None


def _seal_active(log: PartitionLog) -> None:
    with suppress(DiskFullError):  # a later round does it
        log.roll()


def _joined(first: Compacted | None, second: Compacted | None) -> Compacted | None:
    """The combined result of two compactions, the second of which started from the result of the first."""
    if first is None or second is None:
        return first or second
    return first._replace(
        end_offset=second.end_offset,
        records_before=first.records_before + second.records_before - first.records_after,
        records_after=second.records_after,
        bytes_before=first.bytes_before + second.bytes_before - first.bytes_after,
        bytes_after=second.bytes_after,
    )


def _compact_sealed(work: _Work, to_be_sealed: Segment | None = None) -> Compacted | None:
    """Compact the sealed segments, up to the first with records that are too young or of a transaction that has not ended."""
    *sealed, active = list_segments(work.log)
    segments = sealed if to_be_sealed is None else [*sealed, to_be_sealed]
    is_idle = active.is_awaiting_appends or to_be_sealed is not None
    segments = list(takewhile(lambda segment: not _is_young(segment, work.settings, work.now_ms), segments))
    first_dirty = _first_dirty(work.log)
    is_forced = work.force and bool(_dirty(segments, first_dirty))
    reason = _why(work, segments, first_dirty, is_idle) or ("cleanup.policy" if is_forced else "")
    if not segments or not reason:
        return None
    transactions = find_transactions(segments)
    first_open = transactions.first_open
    if first_open is not None and segments[-1].end_offset > first_open.offset:
        work.note_open(first_open)
    segments = [segment for segment in segments if segment.end_offset <= transactions.stable_offset]
    if not segments:
        return None
    aborted = AbortedList(transactions.aborted)
    done = _count(work, segments, aborted) if work.dry_run else _write(work, segments, aborted)
    return done._replace(reason=reason)


def _write(work: _Work, segments: list[Segment], aborted: AbortedList) -> Compacted:
    bytes_before, end_offset = sum(segment.size_bytes for segment in segments), segments[-1].end_offset
    records_before = -1
    while True:
        cleaner = _cleaner(work, segments, aborted)
        cleaner.write_anew()
        _note(work.log, cleaner)
        records_before = int(cleaner.native.records_in) if records_before < 0 else records_before
        segments = [each for each in list_segments(work.log) if not each.is_active and each.end_offset <= end_offset]
        if not _dirty(segments, cleaner.end_offset):
            break
    bytes_after = sum(segment.size_bytes for segment in segments)
    return Compacted(cleaner.end_offset, records_before, int(cleaner.native.records_out), bytes_before, bytes_after)


def _count(work: _Work, segments: list[Segment], aborted: AbortedList) -> Compacted:
    cleaner = _cleaner(work, segments, aborted)
    bytes_after = cleaner.count()
    records = int(cleaner.native.records_in), int(cleaner.native.records_out)
    return Compacted(cleaner.end_offset, *records, cleaner.size_bytes, bytes_after)


def _cleaner(work: _Work, segments: list[Segment], aborted: AbortedList) -> Cleaner:
    first_dirty = _first_dirty(work.log)
    return Cleaner(work.log, work.settings, work.now_ms, segments, first_dirty, aborted, work.memory_bytes)


def _first_dirty(log: PartitionLog) -> int:
    """The offset before which everything was compacted by an earlier pass."""
    return read_checkpoint(log.directory / names.CLEANER_CHECKPOINT) or 0


def _dirty(segments: Sequence[Segment], first_dirty: int) -> list[Segment]:
    """The segments with records that no pass has seen yet."""
    return [segment for segment in segments if segment.end_offset > first_dirty]


def _note(log: PartitionLog, cleaner: Cleaner) -> None:
    """Store the result of a pass. The time of the tombstones first: while there are dirty records, it is read again."""
    for name, number in (
        (names.TOMBSTONE_CHECKPOINT, int(cleaner.native.earliest_horizon)),
        (names.CLEANER_CHECKPOINT, cleaner.end_offset),
    ):
        if read_checkpoint(log.directory / name) != number:
            write_checkpoint(log.directory / name, log.topic, log.partition, number)


def _is_young(segment: Segment, settings: TopicConfig, now_ms: int) -> bool:
    """Has it records that may not be compacted yet?"""
    lag_ms = settings.number("min.compaction.lag.ms")
    return lag_ms > 0 and latest_ms(segment) > now_ms - lag_ms


def _is_due(work: _Work, active: Segment) -> bool:
    """Has the first record of the active segment waited for max.compaction.lag.ms, or the last one for segment.ms?

    An append would roll it by the same settings, but there are no appends, or none with a later timestamp. If records arrive
    that are already old, one segment of them is sealed at a time: the next one once the first is compacted."""
    if _waiting_since(active) < work.now_ms - work.settings.number("max.compaction.lag.ms"):
        return True
    limit_ms = work.now_ms - work.settings.number("segment.ms")
    return latest_ms(active) < limit_ms and (
        time_written(active.path) < limit_ms or _first_dirty(work.log) >= active.base_offset
    )


def _waiting_since(segment: Segment) -> int:
    """When a segment's first records arrived, in milliseconds since the epoch."""
    timestamp = first_timestamp(segment.path)
    return timestamp if timestamp >= 0 else time_written(segment.path)


def _why(work: _Work, segments: Sequence[Segment], first_dirty: int, is_idle: bool) -> str:
    """The setting that makes compaction worthwhile, "" if it is not.

    If appends have stopped, dirty records wait no longer than a tombstone may. While records arrive, tombstones that are due
    wait for others that soon will be, because each pass reads everything. A pass also searches for tombstones if the time when
    they are due was never stored."""
    dirty = [segment for segment in _dirty(segments, first_dirty) if segment.size_bytes > 0]
    retention_ms = work.settings.number("delete.retention.ms")
    if dirty:
        share = sum(segment.size_bytes for segment in dirty) / sum(segment.size_bytes for segment in segments)
        if share > work.settings.fraction("min.cleanable.dirty.ratio"):
            return "min.cleanable.dirty.ratio"
        due_ms = work.now_ms - work.settings.number("max.compaction.lag.ms")
        if due_ms > 0 and min(map(_waiting_since, dirty)) < due_ms:
            return "max.compaction.lag.ms"
        if is_idle and max(latest_ms(dirty[-1]), time_written(dirty[-1].path)) < work.now_ms - retention_ms:
            return "delete.retention.ms"
    horizon = read_checkpoint(work.log.directory / names.TOMBSTONE_CHECKPOINT)
    patience_ms = retention_ms // _TOMBSTONES_TOGETHER if dirty else 0
    is_due = first_dirty > 0 if horizon is None else horizon + patience_ms <= work.now_ms
    return "delete.retention.ms" if is_due else ""
