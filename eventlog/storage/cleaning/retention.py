"""Which segments may be deleted: by age, by size, and because every group has acknowledged them.

Each rule returns an offset; whole segments before the largest of these offsets are deleted. Source of the rules: Kafka's
UnifiedLog.deleteRetentionMsBreachedSegments and deleteRetentionSizeBreachedSegments.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from eventlog.options import TopicConfig
from eventlog.storage.partition.deletion import Deleted, delete_before
from eventlog.storage.partition.log import PartitionLog
from eventlog.storage.segments import files, index, names
from eventlog.storage.segments.headers import largest_timestamp

KEEP_ALL = -1


class Segment(NamedTuple):
    """A segment of a partition; `timestamp` is the largest in it that is known without reading it; -1: none."""

    path: Path
    base_offset: int
    end_offset: int
    size_bytes: int
    timestamp: int
    is_active: bool

    @property
    def is_awaiting_appends(self) -> bool:
        """Is this the active segment before its first batch? It is never deleted."""
        return self.is_active and self.size_bytes == 0


def list_segments(log: PartitionLog) -> list[Segment]:
    """The segments of a partition in order; the last one takes appends."""
    active = log.active_segment()
    bases = [base for base in files.segment_bases(log.directory) if base < active.base_offset]
    segments = []
    for base, following in pairwise([*bases, active.base_offset]):
        path = names.segment_file(log.directory, base)
        entry = index.last_time_entry(path.with_suffix(names.TIME_INDEX_SUFFIX), base)
        timestamp = entry.timestamp if entry is not None else -1
        segments.append(Segment(path, base, following, files.size_of(path), timestamp, False))
    path = names.segment_file(log.directory, active.base_offset)
    return [*segments, Segment(path, active.base_offset, active.end_offset, active.log_bytes, active.max_timestamp, True)]


class Doomed(NamedTuple):
    """What the settings no longer retain: everything before `offset`, by the setting `reason`, which allows the most.

    `segments` whole segments are deleted, with `size_bytes` of batches; `records` is the number of offsets in them. `newest_ms`
    is the largest timestamp in their indexes, in milliseconds since the epoch, None if there is none."""

    reason: str
    offset: int
    segments: int
    records: int
    size_bytes: int
    newest_ms: int | None


def find_doomed(log: PartitionLog, settings: TopicConfig, acknowledged: int | None, now_ms: int) -> Doomed | None:
    """What is to be deleted from a partition; None: nothing. This includes what a killed deletion left before the start.

    Everything before `acknowledged` was acknowledged by every group; None: acknowledgement is no reason to delete anything."""
    segments = list_segments(log)
    offsets = {"log.start.offset": behind(segments, log.start_offset)}
    if "delete" in settings.text("cleanup.policy"):
        offsets |= {
            "retention.ms": expired(segments, settings.number("retention.ms"), now_ms),
            "retention.bytes": oversize(segments, settings.number("retention.bytes")),
            "retention.acked": KEEP_ALL if acknowledged is None else behind(segments, acknowledged),
        }
    reason = max(offsets, key=lambda name: offsets[name])
    offset = offsets[reason]
    going = [segment for segment in segments if segment.end_offset <= offset and not segment.is_awaiting_appends]
    if not going:
        return None
    newest = max(segment.timestamp for segment in going)
    records = max(0, offset - max(log.start_offset, going[0].base_offset))
    size_bytes = sum(segment.size_bytes for segment in going)
    return Doomed(reason, offset, len(going), records, size_bytes, newest if newest >= 0 else None)


def delete_doomed(log: PartitionLog, doomed: Doomed) -> Deleted:
    """Delete these segments. Raises `LockTimeoutError`, `DiskFullError`, `CorruptLogError`."""
    return delete_before(log, doomed.offset)


def expired(segments: Sequence[Segment], retention_ms: int, now_ms: int) -> int:
    """The offset before which all records, in whole segments, are older than `retention_ms`."""
    end = KEEP_ALL
    for segment in segments if retention_ms >= 0 else ():
        limit = now_ms - retention_ms
        # The index may have lost entries: only the file itself shows whether all of it is old.
        if segment.is_awaiting_appends:
            break
        if segment.timestamp >= limit or _timestamp_of(segment) >= limit:
            break
        end = segment.end_offset
    return end


def _timestamp_of(segment: Segment) -> int:
    """The largest timestamp, read from the file itself; -1 if the file was deleted just now."""
    try:
        return latest_ms(segment if segment.is_active else segment._replace(timestamp=largest_timestamp(segment.path)))
    except FileNotFoundError:
        return -1


def latest_ms(segment: Segment) -> int:
    """The largest timestamp or, if its records have none, the time the file was written, as in Kafka. Raises
    `FileNotFoundError`."""
    return segment.timestamp if segment.timestamp >= 0 else time_written(segment.path)


def time_written(path: Path) -> int:
    """When a file was last written, in milliseconds since the epoch."""
    return os.stat(path).st_mtime_ns // 1_000_000


def oversize(segments: Sequence[Segment], retention_bytes: int) -> int:
    """The offset up to which deleting whole segments leaves at least `retention_bytes` bytes."""
    end = KEEP_ALL
    surplus = sum(segment.size_bytes for segment in segments) - retention_bytes
    for segment in segments if retention_bytes >= 0 else ():
        if surplus < segment.size_bytes or segment.is_awaiting_appends:
            break
        surplus -= segment.size_bytes
        end = segment.end_offset
    return end


def behind(segments: Sequence[Segment], offset: int) -> int:
    """The end of the whole segments that lie before an offset."""
    end = KEEP_ALL
    for segment in segments:
        if segment.end_offset > offset or segment.is_awaiting_appends:
            break
        end = segment.end_offset
    return end


