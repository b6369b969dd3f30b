"""One round of housekeeping: retention, compaction, groups that nobody uses, deletions that a killed process began."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager

from eventlog.access import open_file
from eventlog.catalog.topics import TopicDescription
from eventlog.clock import now_ms
from eventlog.errors import EventLogError
from eventlog.groups.forget import expire_groups
from eventlog.groups.holders import committed_by_group
from eventlog.groups.registry import Groups
from eventlog.maintenance.deletion import finish_deletion
from eventlog.maintenance.report import HeldBack, MaintenanceReport, PartitionMaintenance
from eventlog.storage import files, names
from eventlog.storage.compaction import compact
from eventlog.storage.partition import Partition, parts
from eventlog.storage.periodic import PeriodicThread
from eventlog.storage.rebuilding import rebuild_rotten
from eventlog.storage.retention import retain

GROUP_RETENTION_MS = 604_800_000  # Kafka's offsets.retention.minutes


def maintain(groups: Groups, *, compact_all: bool, group_retention_ms: int) -> MaintenanceReport:
    """Do one round, unless another process is at it. What goes wrong in one place stops no other."""
    with _only_one(groups) as is_mine:
        report = MaintenanceReport(is_elsewhere=not is_mine)
        if is_mine:
            _finish_deletions(groups, report)
            for topic in groups.internals.topics.all():
                _maintain_topic(groups, topic, report, compact_all=compact_all)
            report.expired_groups = expire_groups(groups, group_retention_ms)
    return report


@contextmanager
def _only_one(groups: Groups) -> Iterator[bool]:
    """Be the only process that does housekeeping; False if another one is at it. The lock vanishes with its process."""
    path = names.maintenance_file(groups.internals.path)
    descriptor = open_file(path)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        is_mine = True
    except BlockingIOError:
        is_mine = False
    except BaseException:
        files.close(descriptor)
        raise
    try:
        yield is_mine
    finally:
        files.unlock_and_close(descriptor)


def _finish_deletions(groups: Groups, report: MaintenanceReport) -> None:
    for topic in groups.internals.topics.being_deleted():
        try:
            finish_deletion(groups, topic.name)
            report.deleted_topics.append(topic.name)
        except EventLogError as error:
            report.failures.append((topic.name, str(error)))


def _maintain_topic(groups: Groups, topic: TopicDescription, report: MaintenanceReport, *, compact_all: bool) -> None:
    internals = groups.internals
    goes_by_acks = topic.settings().text("retention.acked") == "true"
    committed = committed_by_group(groups, topic.name) if goes_by_acks else {}
    for number in range(topic.partitions):
        if not files.is_there(names.partition_directory(internals.path, topic.name, number)):
            continue
        try:
            with closing(internals.separate_partition(topic.name, number)) as partition:
                by_group = committed.get(number, {})
                done = _maintain_partition(partition, topic, by_group, compact_all=compact_all)
        except (EventLogError, OSError) as error:
            if topic.name not in internals.topics.names():
                return  # deleted while this round came to it
            report.failures.append((f"{topic.name}-{number}", str(error)))
            continue
        if not done.is_idle:
            report.partitions.append(done)


def _maintain_partition(
    partition: Partition, topic: TopicDescription, committed: Mapping[str, int | None], *, compact_all: bool
) -> PartitionMaintenance:
    settings, now = topic.settings(), now_ms()
    rebuilt = rebuild_rotten(parts(partition), settings.number("index.interval.bytes"))
    deletes = "delete" in settings.text("cleanup.policy")
    acknowledged = min((offset or 0 for offset in committed.values()), default=None)
    retained = retain(parts(partition), settings, acknowledged, now) if deletes else None
    compacted = compact(parts(partition), settings, now, force=compact_all) if settings.is_compacted else None
    reason, deleted = retained if retained is not None else ("", None)
    return PartitionMaintenance(
        topic.name,
        partition.partition,
        partition.start_offset,
        reason,
        deleted.segments if deleted else 0,
        deleted.size_bytes if deleted else 0,
        compacted,
        _held_back(partition, committed),
        tuple(rebuilt),
    )


def _held_back(partition: Partition, committed: Mapping[str, int | None]) -> tuple[HeldBack, ...]:
    """The groups that have records before them, the one that is furthest behind first."""
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
