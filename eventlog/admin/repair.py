"""Repair of a damaged partition: valid batches stay, the other bytes are set aside, and the partition accepts appends again.

Each step leaves a partition that opens, so a repair that is killed is simply repeated. The invalid bytes are copied to
removed/; the catalog records that a repair is in progress, which offsets it loses, and that there may be gaps; if the last
segment is damaged, a new one takes the appends; the damaged segments are replaced one by one; the head is deleted, so that the
next opener creates it again; and the catalog records that the repair is done."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import zip_longest
from pathlib import Path

from eventlog.anchored import plain
from eventlog.errors import EventLogError, PartitionNotFoundError
from eventlog.groups.registry import Groups
from eventlog.log import Log
from eventlog.options import TopicConfig, check_bool, check_partition_number, check_topic_name
from eventlog.records.record import TopicPartition
from eventlog.storage.mapped.head_health import HeadState, read_head_state
from eventlog.storage.mapped.limits import change_settings_of
from eventlog.storage.segments import files, index, names
from eventlog.storage.segments.aborted_index import ENTRY as ABORTED_ENTRY
from eventlog.storage.segments.checkpoints import write_checkpoint
from eventlog.storage.segments.epochs import begin_epoch, read_epochs, write_epochs
from eventlog.storage.segments.indexing import rebuild_indexes
from eventlog.storage.segments.inspection import Problem, VerifyReport, verify_partition
from eventlog.storage.segments.lock import segments_locked
from eventlog.storage.segments.producer_snapshots import rebuild_aborted_index
from eventlog.storage.segments.recovery import create_segment
from eventlog.storage.segments.repairing import (
    SegmentScan,
    partition_closed_by_all,
    rewrite_segment,
    scan_segment,
    set_aside,
)
from eventlog.storage.segments.start import start_of
from eventlog.storage.segments.swap import finish_swaps
from eventlog.store.store import Store

_INDEXES = {names.INDEX_SUFFIX: index.ENTRY.size, names.TIME_INDEX_SUFFIX: index.TIME_ENTRY.size}


@dataclass(frozen=True)
class Removal:
    """Bytes of a segment that are dropped: where, how many, why, and the file in removed/ that has them afterwards."""

    path: Path
    position: int
    size_bytes: int
    reason: str
    kept_at: Path | None = None


@dataclass(frozen=True)
class RepairPlan:
    """What a repair will do to a partition, or has done if it `was_executed`; `was_interrupted` says that an earlier one was
    interrupted, which this one completes.

    `removals` are the bytes that are dropped, `lost` the offsets that no longer have a record, `indexes` the index files
    that are rebuilt, `epochs` whether the leader epochs are. Afterwards the partition starts at `start_offset`, and the
    next record gets `end_offset`."""

    topic: str
    partition: int
    start_offset: int
    end_offset: int
    removals: tuple[Removal, ...] = ()
    lost: tuple[range, ...] = ()
    indexes: tuple[Path, ...] = ()
    epochs: bool = False
    was_executed: bool = False
    was_interrupted: bool = False

    @property
    def is_needed(self) -> bool:
        """Is there anything to repair?"""
        return bool(self.removals or self.lost or self.indexes or self.epochs or self.was_interrupted)


@dataclass
class _Findings:
    """The parts of a plan, for carrying it out."""

    plan: RepairPlan
    scans: list[SegmentScan] = field(default_factory=list)
    needs_segment: bool = False

    @property
    def changes_log(self) -> bool:
        return bool(self.plan.removals or self.plan.lost or self.plan.was_interrupted)


def repair_partition(log: Log, groups: Groups, topic: str, partition: int, *, execute: bool) -> RepairPlan:
    """Plan the repair of a partition, and with `execute` carry it out. Raises `EventLogError` while others have it open."""
    check_bool("execute", execute)
    settings = log.topic(check_topic_name(topic)).settings()
    if not 0 <= check_partition_number(partition) < log.topic(topic).partitions:
        last = log.topic(topic).partitions - 1
        raise PartitionNotFoundError(f"topic {topic!r} has no partition {partition}; it has 0 to {last}")
    store = log.store
    directory = names.partition_directory(store.path, topic, partition)
    if not files.is_there(directory):
        return RepairPlan(topic, partition, 0, 0)
    committed = _committed(store, groups, TopicPartition(topic, partition))
    if execute:
        store.partitions.close(topic, partition)
    opened = store.partitions.open_separately(topic, partition)  # recovery comes first, and does what it may do by itself
    try:
        start_offset = opened.start_offset
        if not execute:
            with opened.log.locked():  # which completes a killed compaction: until then offsets may occur twice
                return _find(store, RepairPlan(topic, partition, start_offset, 0), settings, committed).plan
    finally:
        opened.close()
    head_file = names.head_file(store.path, topic, partition)
    with partition_closed_by_all(head_file, f"{topic}/{partition}"), segments_locked(directory, store.options.lock_timeout_ms):
        finish_swaps(directory)  # here, where nobody can begin another one
        findings = _find(store, RepairPlan(topic, partition, start_offset, 0), settings, committed)
        return _carry_out(store, findings, settings) if findings.plan.is_needed else findings.plan


def _committed(store: Store, groups: Groups, partition: TopicPartition) -> int:
    """The largest offset that any group has committed: new records must not come before it."""
    largest = 0
    for name in store.catalog.groups.names():
        table = groups.find(name)
        if table is not None:
            largest = max(largest, table.committed(partition) or 0)
    return largest


def _find(store: Store, plan: RepairPlan, settings: TopicConfig, committed: int) -> _Findings:
    directory = names.partition_directory(store.path, plan.topic, plan.partition)
    head = read_head_state(names.head_file(store.path, plan.topic, plan.partition))
    report = verify_partition(directory, start_of(directory), head.end_offset, may_have_gaps=settings.may_have_gaps)
    unknown = next((problem for problem in report.problems if problem.reason.startswith("not checked")), None)
    if unknown is not None:
        raise EventLogError(f"{unknown.path} is {unknown.reason}: without it right and wrong cannot be told apart")
    bases = files.segment_bases(directory)
    known_end = head.durable_offset if head.end_offset is None else head.end_offset
    begun = store.catalog.topics.find(plan.topic).repairs.get(plan.partition)
    plan = replace(
        plan, end_offset=known_end, indexes=_wrong_indexes(directory, bases, head, report),
        epochs=_has_wrong_epochs(directory, head.end_offset, report), was_interrupted=begun is not None,
    )  # fmt: skip
    is_log_damaged = head.end_offset is None or any(_is_about_log(problem) for problem in report.problems)
    if not is_log_damaged and not plan.epochs and begun is None:
        return _Findings(plan)
    findings = _plan(plan, _scan(directory, bases, head, known_end), settings, known_end, committed)
    findings.plan = replace(findings.plan, lost=_merged([*findings.plan.lost, *(begun or ())]))
    return findings


def _merged(ranges: list[range]) -> tuple[range, ...]:
    """The same offsets in as few ranges as can be, in order."""
    merged: list[range] = []
    for each in sorted(ranges, key=lambda each: each.start):
        if merged and each.start <= merged[-1].stop:
            merged[-1] = range(merged[-1].start, max(merged[-1].stop, each.stop))
        else:
            merged.append(each)
    return tuple(merged)


def _scan(directory: Path, bases: list[int], head: HeadState, known_end: int) -> list[SegmentScan]:
    scans: list[SegmentScan] = []
    next_offset = bases[0] if bases else 0
    for base, following in zip_longest(bases, bases[1:]):
        path = names.segment_file(directory, base)
        size, is_last = files.size_of(path), following is None
        is_end_known = head.end_offset is not None and known_end > base
        stop = following if following is not None else known_end if is_end_known else names.OFFSET_MAX
        if head.end_offset is not None and base == head.segment_base:
            size = min(size, head.segment_bytes)
        bounds = range(max(base, next_offset), stop)
        scan = scan_segment(path, base, bounds, size, is_last=is_last, known_end=known_end if is_last else names.OFFSET_MAX)
        next_offset = scan.batches[-1].next_offset if scan.batches else next_offset
        scans.append(scan)
    return scans


def _plan(plan: RepairPlan, scans: list[SegmentScan], settings: TopicConfig, known_end: int, committed: int) -> _Findings:
    removals = tuple(Removal(scan.path, *piece) for scan in scans for piece in scan.wrong)
    next_offset, lost = scans[0].base_offset if scans else plan.start_offset, list[range]()
    if next_offset > plan.start_offset:
        lost.append(range(plan.start_offset, next_offset))
    for scan in scans:
        if not settings.may_have_gaps or scan.wrong:
            lost += scan.gaps(next_offset)
        next_offset = scan.batches[-1].next_offset if scan.batches else next_offset
    needs_segment = bool(scans and scans[-1].wrong) or known_end > next_offset or not scans
    end_offset = max(next_offset, known_end, committed) if needs_segment else next_offset
    if end_offset > next_offset:
        lost.append(range(next_offset, end_offset))
    needs_segment = needs_segment and not (scans and end_offset == scans[-1].base_offset)
    changed = {scan.path.stem for scan in scans if scan.wrong}
    indexes = tuple(path for path in plan.indexes if path.stem not in changed)
    rest = [scan.base_offset for scan in scans if scan.batches or (scan is scans[-1] and not needs_segment)]
    start_offset = max(plan.start_offset, rest[0]) if rest else end_offset
    plan = replace(plan, removals=removals, lost=tuple(lost), start_offset=start_offset, end_offset=end_offset, indexes=indexes)
    return _Findings(plan, scans, needs_segment)


def _wrong_indexes(directory: Path, bases: list[int], head: HeadState, report: VerifyReport) -> tuple[Path, ...]:
    """Indexes that are missing, torn, or name batches that are not there."""
    named = {problem.path for problem in report.problems}
    wrong = []
    for base in bases:
        for suffix, entry_bytes in _INDEXES.items():
            path = names.segment_file(directory, base, suffix)
            if path in named or not files.is_there(path) or path.stat().st_size % entry_bytes:
                wrong.append(path)
        path = names.segment_file(directory, base, names.ABORTED_INDEX_SUFFIX)
        if path in named or (base != bases[-1] and files.is_there(path) and path.stat().st_size % ABORTED_ENTRY.size):
            wrong.append(path)
    if head.end_offset is not None:
        wrong += [path for path in _wrong_active_indexes(directory, head) if path not in wrong]
    return tuple(wrong)


def _wrong_active_indexes(directory: Path, head: HeadState) -> list[Path]:
    """Indexes of the active segment with entries past its end; verification takes these for an append in progress."""
    base, end_offset = head.segment_base, head.end_offset or 0
    path = names.segment_file(directory, base, names.INDEX_SUFFIX)
    time_path = names.segment_file(directory, base, names.TIME_INDEX_SUFFIX)
    entries, time_entries = index.read_index(path, base), index.read_time_index(time_path, base)
    wrong = [path] if index.sound_entries(entries, head.segment_bytes) != entries else []
    return wrong + ([time_path] if index.sound_time_entries(time_entries, end_offset) != time_entries else [])


def _is_about_log(problem: Problem) -> bool:
    suffixes = (*_INDEXES, names.ABORTED_INDEX_SUFFIX)
    return problem.path.suffix not in suffixes and not problem.path.name.endswith(names.CHECKPOINT_SUFFIX)


def _has_wrong_epochs(directory: Path, end_offset: int | None, report: VerifyReport) -> bool:
    epochs = read_epochs(directory)
    is_named = any(problem.path.name == names.EPOCH_CHECKPOINT for problem in report.problems)
    return is_named or not epochs or (end_offset is not None and epochs[-1][1] > end_offset)


def _carry_out(store: Store, findings: _Findings, settings: TopicConfig) -> RepairPlan:
    plan = findings.plan
    directory = names.partition_directory(store.path, plan.topic, plan.partition)
    removed = names.removed_directory(store.path, plan.topic, plan.partition)
    interval_bytes = settings.number("index.interval.bytes")
    removals = []
    for removal in plan.removals:
        piece = next(each for scan in findings.scans if scan.path == removal.path for each in scan.wrong
                     if each.position == removal.position)  # fmt: skip
        removals.append(replace(removal, kept_at=set_aside(removal.path, piece, removed)))
    if findings.changes_log:
        has_gaps = any(lost.stop > plan.start_offset for lost in plan.lost)
        with_gaps = store.catalog.topics.begin_repair(plan.topic, plan.partition, plan.lost, has_gaps=has_gaps).settings()
        # In its head, too: should the repair end here, in the middle, readers are to find gaps right.
        timeout_ms = store.options.lock_timeout_ms
        change_settings_of(store.path, store.signals, plan.topic, plan.partition, with_gaps, timeout_ms, is_alone=True)
        store.announcer.announce()
    if plan.start_offset > start_of(directory):
        write_checkpoint(directory / names.START_CHECKPOINT, plan.topic, plan.partition, plan.start_offset)
    if findings.needs_segment:
        create_segment(directory, plan.end_offset)
    last = max((scan.base_offset for scan in findings.scans), default=0)
    for scan in findings.scans:
        if scan.wrong:
            rewrite_segment(scan, interval_bytes, may_go=findings.needs_segment or scan.base_offset < last)
    rotten = {int(path.stem) for path in plan.indexes if path.suffix in _INDEXES}
    of_aborted = {int(path.stem) for path in plan.indexes if path.suffix == names.ABORTED_INDEX_SUFFIX}
    active = files.segment_bases(directory)[-1]
    for base in sorted(rotten - {active}):  # recovery rebuilds those of the active segment, like its head
        rebuild_indexes(directory, base, interval_bytes)
    for base in sorted(of_aborted - {active}):
        rebuild_aborted_index(directory, base)
    if plan.epochs:
        write_epochs(directory, _epochs_of(findings.scans) or [(0, plan.start_offset)])
    if findings.changes_log:
        begin_epoch(directory, plan.end_offset)
    if findings.changes_log or plan.epochs or active in rotten or of_aborted:  # it counts the aborted transactions
        head_file = names.head_file(store.path, plan.topic, plan.partition)
        head_file.unlink()
        files.sync_directory(head_file.parent)
    if findings.changes_log:
        store.catalog.topics.end_repair(plan.topic, plan.partition)
    store.announcer.announce()  # for servers, which tell their clients the leader epochs
    return replace(plan, removals=tuple(removals), was_executed=True)


def _epochs_of(scans: list[SegmentScan]) -> list[tuple[int, int]]:
    """The leader epochs as the batches have them."""
    epochs: list[tuple[int, int]] = []
    for scan in scans:
        for epoch, offset in scan.epochs():
            if not epochs or epoch > epochs[-1][0]:
                epochs.append((epoch, offset))
    return epochs


def plan_by_name(plan: RepairPlan) -> RepairPlan:
    """The plan with paths by name, for showing it elsewhere or after the store was closed."""
    removals = tuple(replace(each, path=plain(each.path), kept_at=plain(each.kept_at)) for each in plan.removals)
    return replace(plan, removals=removals, indexes=tuple(map(plain, plan.indexes)))
