"""One round of housekeeping: retention, compaction, unused groups, deletions that a killed process began."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from typing import NamedTuple

from eventlog.anchored import plain
from eventlog.catalog.topics import TopicDescription
from eventlog.clock import now_ms
from eventlog.errors import CorruptLogError, EventLogError, OffsetOutOfRangeError, TopicNotFoundError
from eventlog.groups.expiry import expire_groups, unused_groups
from eventlog.groups.registry import Groups
from eventlog.groups.retention import committed_by_group
from eventlog.holding import Holding
from eventlog.logs import logger
from eventlog.maintenance.deletion import finish_deletion
from eventlog.maintenance.report import HeldBack, MaintenanceReport, PartitionMaintenance
from eventlog.periodic import PeriodicThread
from eventlog.storage.cleaning.compaction import compact
from eventlog.storage.cleaning.rebuilding import find_rotten, rebuild_rotten
from eventlog.storage.cleaning.retention import Doomed, delete_doomed, find_doomed
from eventlog.storage.cleaning.transactions import OpenTransaction
from eventlog.storage.partition.partition import Partition
from eventlog.storage.segments import files, names
from eventlog.storage.segments.file_locks import locked_alone
from eventlog.transactions.attendant import look_after

_log = logger("maintenance")


class _Round(NamedTuple):
    """What a round is about. With `dry_run` it finds out what there is to do, and does nothing."""

    groups: Groups
    compact_all: bool
    group_retention_ms: int
    dry_run: bool
    report: MaintenanceReport


def maintain(groups: Groups, *, compact_all: bool, group_retention_ms: int, dry_run: bool = False) -> MaintenanceReport:
    """Do one round, unless another process is doing it. A failure in one topic or group does not stop the others."""
    if dry_run:
        return _go_round(_Round(groups, compact_all, group_retention_ms, dry_run, MaintenanceReport(is_dry_run=True)))
    with _only_one(groups) as is_mine:
        report = MaintenanceReport(is_elsewhere=not is_mine)
        if is_mine:
            groups.store.catalog.environment.free_dead_readers()
            _go_round(_Round(groups, compact_all, group_retention_ms, dry_run, report))
    _tell(report)
    return report


def _tell(report: MaintenanceReport) -> None:
    for done in report.partitions:
        if done.reason:
            _log.info(
                "%s/%d: deleted %d segments with %d bytes before offset %d, by %s",
                done.topic, done.partition, done.deleted_segments, done.deleted_bytes, done.start_offset, done.reason,
            )  # fmt: skip
        if done.compacted is not None:
            _log.info(
                "%s/%d: compacted %d records to %d, by %s",
                done.topic, done.partition, done.compacted.records_before, done.compacted.records_after, done.compacted.reason,
            )  # fmt: skip
    for group in report.expired_groups:
        _log.info("group %s: expired, and was deleted", group)
    for topic in report.deleted_topics:
        _log.info("topic %s: its deletion, which another process had begun, was completed", topic)
    for subject, reason in report.failures:
        _log.warning("%s: housekeeping failed: %s", subject, reason)


def _go_round(round_: _Round) -> MaintenanceReport:
    groups, report = round_.groups, round_.report
    for topic in groups.store.catalog.topics.being_deleted():
        with _told(topic.name, report):
            if not round_.dry_run:
                finish_deletion(groups, topic.name)
            report.deleted_topics.append(topic.name)
    for topic in groups.store.catalog.topics.all():
        with _told(topic.name, report):
            _maintain_topic(round_, topic)
    if not round_.dry_run:
        with _told("transactions", report):
            look_after(groups)
    with _told("groups", report):
        expire = unused_groups if round_.dry_run else expire_groups
        report.expired_groups = expire(groups, round_.group_retention_ms)
    return report


@contextmanager
def _told(subject: str, report: MaintenanceReport) -> Iterator[None]:
    """What goes wrong in a block is told by the report."""
    try:
        yield
    except (EventLogError, OSError) as error:
        report.failures.append((subject, str(error)))


def _only_one(groups: Groups) -> Holding[bool]:
    """Be the only process that does housekeeping; False if another one is at it. The lock vanishes with its process."""
    return locked_alone(names.maintenance_file(groups.store.path))


def _maintain_topic(round_: _Round, topic: TopicDescription) -> None:
    store = round_.groups.store
    goes_by_acks = topic.settings().text("retention.acked") == "true"
    committed = committed_by_group(round_.groups, topic.name) if goes_by_acks else {}
    for number in range(topic.partitions):
        if not files.is_there(names.partition_directory(store.path, topic.name, number)):
            continue
        try:
            current = store.catalog.topics.find(topic.name)  # the topic may have been altered since the round began
            with closing(store.partitions.open_separately(topic.name, number)) as partition:
                done = _maintain_partition(round_, partition, current, committed.get(number, {}))
        except TopicNotFoundError:
            return  # deleted before this round reached it; a new one has its turn in the next round
        except (EventLogError, OSError) as error:
            if topic.name not in store.catalog.topics.names():
                return
            round_.report.failures.append((f"{topic.name}/{number}", str(error)))
            continue
        if not done.is_idle:
            round_.report.partitions.append(done)


def _maintain_partition(
    round_: _Round, partition: Partition, topic: TopicDescription, committed: Mapping[str, int | None]
) -> PartitionMaintenance:
    settings, now, log = topic.settings(), now_ms(), partition.log
    log.check_writable()  # of what is damaged nothing is taken away
    interval_bytes = settings.number("index.interval.bytes")
    rebuilt = find_rotten(log.directory) if round_.dry_run else rebuild_rotten(log, interval_bytes)
    done = PartitionMaintenance(topic.name, partition.partition, partition.start_offset, rebuilt=tuple(map(plain, rebuilt)))
    acknowledged = min((offset or 0 for offset in committed.values()), default=None)
    doomed = find_doomed(log, settings, acknowledged, now)
    if doomed is not None:
        done = _delete(round_, partition, doomed, done)
    if settings.is_compacted:
        open_ones: list[OpenTransaction] = []
        compacted = compact(
            log, settings, now, force=round_.compact_all, dry_run=round_.dry_run, note_open=open_ones.append
        )
        done = done._replace(open_transaction=open_ones[0] if open_ones else None)
        done = done._replace(compacted=compacted, start_offset=max(done.start_offset, partition.start_offset))
    return done._replace(held_back_by=_held_back(partition, committed))


def _delete(round_: _Round, partition: Partition, doomed: Doomed, done: PartitionMaintenance) -> PartitionMaintenance:
    oldest_ms = _timestamp_at(partition, partition.start_offset)
    segments, size_bytes, start_offset = doomed.segments, doomed.size_bytes, doomed.offset
    if not round_.dry_run:
        start_offset, segments, size_bytes = delete_doomed(partition.log, doomed)
    return done._replace(
        start_offset=start_offset,
        reason=doomed.reason,
        deleted_segments=segments,
        deleted_bytes=size_bytes,
        deleted_records=doomed.records,
        oldest_ms=oldest_ms,
        newest_ms=doomed.newest_ms,
    )


def _timestamp_at(partition: Partition, offset: int) -> int | None:
    try:
        records = partition.read(offset, max_records=1)
    except (CorruptLogError, OffsetOutOfRangeError):  # damaged, or deleted meanwhile
        return None
    return records[0].timestamp if records and records[0].timestamp >= 0 else None


def _held_back(partition: Partition, committed: Mapping[str, int | None]) -> tuple[HeldBack, ...]:
    """The groups with unacknowledged records, the one with the largest lag first."""
    end = partition.end_offset
    held = [
        HeldBack(group, offset, end - max(offset or 0, partition.start_offset))
        for group, offset in committed.items()
        if max(offset or 0, partition.start_offset) < end
    ]
    return tuple(sorted(held, key=lambda each: (-each.records, each.group)))


class Housekeeper(PeriodicThread):
    """Does a round every `interval_ms` milliseconds. `last_report` is that of the last round, None before the first."""

    def __init__(self, groups: Groups, interval_ms: int, group_retention_ms: int) -> None:
        super().__init__("eventlog-housekeeper", interval_ms)
        self._groups = groups
        self._group_retention_ms = group_retention_ms
        self.last_report: MaintenanceReport | None = None

    def work(self) -> None:
        try:
            self.last_report = maintain(self._groups, compact_all=False, group_retention_ms=self._group_retention_ms)
        except (EventLogError, OSError) as error:
            self.last_report = MaintenanceReport(failures=[("the store", str(error))])
            _tell(self.last_report)
