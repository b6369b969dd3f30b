"""The progress of a group in each partition: lag in records, bytes and seconds, rates, and the time to catch up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from eventlog.catalog.history import HistoryEntry
from eventlog.clock import now_ms
from eventlog.errors import EventLogError
from eventlog.groups.snapshot import GroupSnapshot, OffsetSnapshot
from eventlog.records.record import TopicPartition
from eventlog.storage.mapped.foreign_heads import PartitionOffsets
from eventlog.storage.mapped.offset_slots import NOBODY, NOTHING_COMMITTED
from eventlog.storage.partition.snapshot import Ends, take_partition_snapshot
from eventlog.store.store import Store

_WINDOW_MS = 60_000
_SAMPLE_MS_MIN = 1000  # a rate over a shorter time means little
_Behind = tuple[int | None, float | None, float | None]
_NOTHING_BEHIND: _Behind = (0, 0.0, None)
_NOWHERE = OffsetSnapshot(NOTHING_COMMITTED, -1, NOBODY, NOTHING_COMMITTED)


class Progress(NamedTuple):
    """A group in one partition. None means unknown: nothing was committed yet, or not for long enough.

    If nothing was committed, the lag is counted from where the group started. `lag` is in records, `lag_bytes` in bytes of
    batches; `lag_seconds` is the age of the oldest unacknowledged record, by its timestamp. The rates are in records
    per second over the last minute: what the group commits, and what is appended. `catch_up_seconds` is the time until the lag
    is 0 at these rates; it is also None if the lag does not shrink."""

    start_offset: int
    end_offset: int
    committed: int | None = None
    committed_ms: int | None = None
    lag: int | None = None
    lag_bytes: int | None = None
    lag_seconds: float | None = None
    commit_rate: float | None = None
    append_rate: float | None = None
    catch_up_seconds: float | None = None
    member_id: str | None = None


def progress_of(
    store: Store, group: GroupSnapshot, history: Sequence[HistoryEntry]
) -> dict[TopicPartition, Progress]:
    """The progress in every partition that the group is involved in, sorted."""
    now = now_ms()
    samples = _samples(history, now)
    found = {}
    for partition in group.partitions():
        try:
            offsets = store.partitions.offsets(*partition)
            found[partition] = _progress(store, group, partition, offsets, samples.get(partition), now)
        except LookupError:
            continue  # the topic is gone
    return found


def _samples(history: Sequence[HistoryEntry], now: int) -> dict[TopicPartition, tuple[int, int]]:
    """The oldest commit of the last minute by partition: its time and its offset."""
    samples: dict[TopicPartition, tuple[int, int]] = {}
    for entry in reversed(history):
        if entry.at_ms < now - _WINDOW_MS:
            break
        for change in entry.changes:
            if entry.kind != "commit":
                samples.pop(change.partition, None)  # a reset is not progress of the group
            elif change.after is not None:
                samples[change.partition] = entry.at_ms, change.after
    return samples


def _progress(
    store: Store,
    group: GroupSnapshot,
    partition: TopicPartition,
    offsets: PartitionOffsets,
    sample: tuple[int, int] | None,
    now: int,
) -> Progress:
    owner = group.owner(partition)
    member_id = owner.member_id if owner is not None else None
    slot = group.offsets.get(partition, _NOWHERE)
    if slot.position == NOTHING_COMMITTED:
        return Progress(offsets.start_offset, offsets.end_offset, member_id=member_id)
    has_committed = slot.committed != NOTHING_COMMITTED
    position = max(slot.position, offsets.start_offset)
    lag = Ends(store.path).lag(*partition, slot.position, offsets)
    behind = _behind(store, partition, position, offsets, now) if lag else _NOTHING_BEHIND
    lag_bytes, lag_seconds, append_rate = behind
    commit_rate = _commit_rate(slot, sample, now) if has_committed else None
    catch_up = 0.0 if lag == 0 else None
    if lag and commit_rate is not None and append_rate is not None and commit_rate > append_rate:
        catch_up = lag / (commit_rate - append_rate)
    committed, committed_ms = (slot.committed, slot.committed_ms) if has_committed else (None, None)
    return Progress(
        offsets.start_offset, offsets.end_offset, committed, committed_ms, lag, lag_bytes, lag_seconds,
        commit_rate, append_rate, catch_up, member_id,
    )  # fmt: skip


def _commit_rate(slot: OffsetSnapshot, sample: tuple[int, int] | None, now: int) -> float | None:
    """The records per second that the group acknowledged since the oldest commit of the last minute."""
    if slot.committed_ms < now - _WINDOW_MS:
        return 0.0
    if sample is None or now - sample[0] < _SAMPLE_MS_MIN:
        return None
    return max(0, slot.committed - sample[1]) * 1000 / (now - sample[0])


def _behind(
    store: Store, partition: TopicPartition, position: int, offsets: PartitionOffsets, now: int
) -> _Behind:
    """The bytes after an offset, the age of the record there in seconds, and the append rate of the last minute."""
    try:
        snapshot = take_partition_snapshot(store.path, *partition)
        if snapshot is None:
            return None, None, None
        size_bytes, timestamp = snapshot.behind(position, offsets.end_offset)
        since = snapshot.offset_for_time(max(0, now - _WINDOW_MS), offsets.start_offset, offsets.end_offset)
    except EventLogError:
        return None, None, None  # deleted just now, or damaged: 'eventlog verify' reports what is wrong
    rate = 0.0 if since is None else (offsets.end_offset - since) * 1000 / _WINDOW_MS
    return size_bytes, None if timestamp < 0 else max(0.0, (now - timestamp) / 1000), rate
