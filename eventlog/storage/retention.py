"""Which segments may go: by age, by size, and because every group has acknowledged them.

A rule gives an offset; what lies before the largest of them goes, in whole segments. Source of the rules: Kafka's
UnifiedLog.deleteRetentionMsBreachedSegments and deleteRetentionSizeBreachedSegments.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from eventlog.options import TopicConfig
from eventlog.storage import files, index, names
from eventlog.storage.deletion import Deleted, delete_before
from eventlog.storage.headers import largest_timestamp
from eventlog.storage.parts import Parts

KEEP = -1


class Segment(NamedTuple):
    """A segment with at least one batch; `timestamp` is the largest in it that is known without reading it, -1: none is."""

    path: Path
    base_offset: int
    end_offset: int
    size_bytes: int
    timestamp: int
    is_active: bool


def list_segments(parts: Parts) -> list[Segment]:
    """The segments of a partition in order; the last one takes appends."""
    tail = parts.appender.tail()
    bases = [base for base in files.segment_bases(parts.directory) if base < tail.segment_base]
    segments = []
    for base, following in pairwise([*bases, tail.segment_base]):
        path = names.segment_file(parts.directory, base)
        entry = index.last_time_entry(path.with_suffix(names.TIME_INDEX_SUFFIX), base)
        timestamp = entry.timestamp if entry is not None else -1
        segments.append(Segment(path, base, following, files.size_of(path), timestamp, False))
    path = names.segment_file(parts.directory, tail.segment_base)
    return [*segments, Segment(path, tail.segment_base, tail.end_offset, tail.position, tail.max_timestamp, True)]


def retain(parts: Parts, settings: TopicConfig, acknowledged: int | None, now_ms: int) -> tuple[str, Deleted] | None:
    """Delete what the topic's settings no longer keep; the rule that went furthest, and what it did. None: nothing is to go.

    Everything before `acknowledged` was acknowledged by every group; None: that is no reason to delete anything."""
    segments = list_segments(parts)
    offsets = {
        "retention.ms": expired(segments, settings.number("retention.ms"), now_ms),
        "retention.bytes": oversize(segments, settings.number("retention.bytes")),
        "retention.acked": KEEP if acknowledged is None else behind(segments, acknowledged),
    }
    reason = max(offsets, key=lambda name: offsets[name])
    if offsets[reason] == KEEP:
        return None
    parts.appender.flush(offsets[reason])  # no power cut may leave the log shorter than its start
    with parts.locked():
        return reason, delete_before(parts, offsets[reason])


def expired(segments: Sequence[Segment], retention_ms: int, now_ms: int) -> int:
    """Up to where all records are older than that."""
    end = KEEP
    for segment in segments if retention_ms >= 0 else ():
        limit = now_ms - retention_ms
        # The index may have lost entries, but only the file tells whether it is old as a whole.
        if segment.size_bytes == 0 and segment.is_active:
            break
        if segment.timestamp >= limit or _timestamp_of(segment) >= limit:
            break
        end = segment.end_offset
    return end


def _timestamp_of(segment: Segment) -> int:
    """The largest timestamp; the time when the file was written if its records have none."""
    if segment.is_active:
        return segment.timestamp
    try:
        timestamp = largest_timestamp(segment.path)
        return timestamp if timestamp >= 0 else os.stat(segment.path).st_mtime_ns // 1_000_000
    except FileNotFoundError:
        return -1  # deleted just now


def oversize(segments: Sequence[Segment], retention_bytes: int) -> int:
    """Up to where deleting leaves no less than that many bytes."""
    end = KEEP
    surplus = sum(segment.size_bytes for segment in segments) - retention_bytes
    for segment in segments if retention_bytes >= 0 else ():
        if surplus < segment.size_bytes or (segment.is_active and segment.size_bytes == 0):
            break
        surplus -= segment.size_bytes
        end = segment.end_offset
    return end


def behind(segments: Sequence[Segment], offset: int) -> int:
    """Up to where whole segments lie before an offset."""
    end = KEEP
    for segment in segments:
        if segment.end_offset > offset or (segment.is_active and segment.size_bytes == 0):
            break
        end = segment.end_offset
    return end


