"""Rules: topics come, grow and go; retention and compaction; closing, reboots and backups."""

from __future__ import annotations

import shutil
from collections.abc import Callable

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

import eventlog
from eventlog import MaintenanceReport, Record, TopicPartition
from eventlog.clock import now_ms
from tests.support import heads, stores
from tests.support.machine.foundation import Foundation, hosts, places, topics
from tests.support.machine.model import ModelPartition, ModelTopic
from tests.support.machine.producing import HENCE_MS

_SMALL: dict[str, object] = {"segment.bytes": 1024, "max.message.bytes": 512, "index.interval.bytes": 200, "retention.ms": -1}
_DAYS_7_MS = 604_800_000
_SIZE_BYTES = 2048

KINDS: dict[str, dict[str, object]] = {
    "kept": _SMALL,
    "compressed": {**_SMALL, "compression.type": "gzip"},
    "aged": {**_SMALL, "retention.ms": _DAYS_7_MS},
    "sized": {**_SMALL, "retention.bytes": _SIZE_BYTES},
    "acked": {**_SMALL, "retention.acked": "true"},
    "compact": {**_SMALL, "cleanup.policy": "compact"},
    "compact, aged": {**_SMALL, "cleanup.policy": "compact,delete", "retention.ms": _DAYS_7_MS},
}

_is_time_for_rare_things = precondition(lambda self: self.is_time_for_rare_things)
_partition_counts = st.integers(1, 3)


class Keeping(Foundation):
    """What happens to topics and to the store as a whole."""

    @rule(host=hosts, name=topics, kind=st.sampled_from(sorted(KINDS)), partitions=_partition_counts)
    def create_topic(self, host: int, name: str, kind: str, partitions: int) -> None:
        """A topic, or more partitions for the one that is there."""
        topic = self.model.topics.get(name)
        if topic is None:
            self.do(host, "add_partitions", name, partitions, raises="TopicNotFoundError")
            self.do(host, "create_topic", name, partitions, KINDS[kind])
            self.model.topics[name] = ModelTopic(name, kind, partitions)
            return
        self.do(host, "create_topic", name, partitions, KINDS[kind], raises="TopicExistsError")
        is_less = partitions < len(topic.partitions)
        self.do(host, "add_partitions", name, partitions, raises="InvalidArgumentError" if is_less else None)
        topic.grow(partitions)

    @precondition(lambda self: self.model.topics)
    @rule(host=hosts, name=topics)
    def delete_topic(self, host: int, name: str) -> None:
        """Producers are told, once, of the records that waited for it."""
        if name not in self.model.topics:
            self.do(host, "delete_topic", name, raises="TopicNotFoundError")
            return
        self.do(host, "delete_topic", name)
        self.model.delete_topic(name)
        self.counts["topics deleted"] += 1
        for producing, sent in self.sent.items():
            gone = [each for each in sent if each.place.topic == name and not each.is_gone]
            has_losses = any(each.is_waiting for each in gone)
            for each in gone:
                each.is_gone = True
            if has_losses:
                self.do(producing, "flush_producers", raises="TopicNotFoundError")
                self.take_account(producing)

    @precondition(lambda self: self.model.topics)
    @rule(host=hosts, place=places, before=places)
    def delete_records(self, host: int, place: int, before: int) -> None:
        partitions = self.model.partitions()
        partition = partitions[place % len(partitions)]
        offset = before % (partition.end_offset + 2)
        is_within = partition.start_offset <= offset <= partition.end_offset
        raises = None if is_within else "OffsetOutOfRangeError"
        start = self.do(host, "delete_records", partition.place, offset, raises=raises)
        if is_within:
            partition.delete_before(offset)
            assert start == partition.start_offset

    # --- housekeeping ----------------------------------------------------------------------------------------

    @precondition(lambda self: self.model.topics)
    @rule(host=hosts, compact_all=st.booleans())
    def maintain(self, host: int, compact_all: bool) -> None:
        said: MaintenanceReport = self.do(0, "maintain", compact_all, True)
        report: MaintenanceReport = self.do(host, "maintain", compact_all, False)
        assert said.failures == [] and _deletions(said) == _deletions(report)
        assert (report.is_elsewhere, report.failures, report.expired_groups, report.deleted_topics) == (False, [], [], [])
        self._check_partitions(compact_all)

    def _check_partitions(self, compact_all: bool) -> None:
        for topic in self.model.topics.values():
            for partition in topic.partitions:
                if partition.end_offset > 0:
                    self._check_retention(topic.kind, partition)
                    if "compact" in topic.kind:
                        self._check_compaction(partition, compact_all)

    @precondition(lambda self: self.model.groups)
    @rule(host=hosts)
    def expire_groups(self, host: int) -> None:
        """Groups without members are deleted with their offsets. The members of a process that was killed are noticed in the
        first round; their group is empty from then on."""
        unused = {name for name, group in self.model.groups.items() if not (group.members or group.away)}
        for _ in range(2):
            wait_for_next_ms()
            expired = self.do(host, "expire_groups")
            self._check_partitions(False)
            assert unused.issuperset(expired)
            for name in expired:
                del self.model.groups[name]
            self.counts["groups expired"] += len(expired)
        assert unused.isdisjoint(self.model.groups)
        self.maintain(host, False)  # deletes what no group holds back any more

    def _bases(self, place: TopicPartition) -> list[int]:
        """The base offsets of the segments, as the names of the files have them."""
        return [int(path.stem) for path in stores.segments(self.store, place.partition, place.topic)]

    def _check_retention(self, kind: str, partition: ModelPartition) -> None:
        """Nothing went that is to be kept, and no whole segment stays that is not."""
        start_offset = self.log.offsets(partition.place.topic)[partition.place.partition].start_offset
        assert start_offset >= partition.start_offset
        gone = [record for record in partition.records if record.offset < start_offset]
        has_moved = start_offset > partition.start_offset
        partition.delete_before(start_offset)
        bases = [*self._bases(partition.place), partition.end_offset]
        # Where somebody deleted the beginning of a segment, what is left does not tell why it stays.
        first = [record for record in partition.records if record.offset < bases[1]] if bases[0] >= start_offset else []
        check: Callable[[bool, list[Record], list[Record], list[int], ModelPartition], None] = {
            "sized": self._check_size,
            "acked": self._check_acks,
            "aged": self._check_age,
            "compact, aged": self._check_age,
        }.get(kind, self._check_nothing_went)
        check(has_moved, gone, first, bases, partition)
        self.counts["records deleted by retention"] += len(gone)

    def _check_nothing_went(
        self, has_moved: bool, gone: list[Record], first: list[Record], bases: list[int], partition: ModelPartition
    ) -> None:
        assert not has_moved

    def _check_age(
        self, has_moved: bool, gone: list[Record], first: list[Record], bases: list[int], partition: ModelPartition
    ) -> None:
        assert all(record.timestamp < HENCE_MS for record in gone), f"{gone} went, and is not old"
        assert not first or any(record.timestamp >= HENCE_MS for record in first), f"{first} stayed, and is old"

    def _check_size(
        self, has_moved: bool, gone: list[Record], first: list[Record], bases: list[int], partition: ModelPartition
    ) -> None:
        log = self.log.partition(*partition.place)
        if has_moved:
            assert log.bytes_from(partition.start_offset) >= _SIZE_BYTES
        if len(bases) > 2:
            assert log.bytes_from(bases[1]) < _SIZE_BYTES

    def _check_acks(
        self, has_moved: bool, gone: list[Record], first: list[Record], bases: list[int], partition: ModelPartition
    ) -> None:
        committed = [group.committed.get(partition.place) for group in self.model.groups.values()]
        acknowledged = min((offset or 0 for offset in committed), default=0)
        holders = [group for group in self.model.groups.values() if partition.place.topic in group.topics()]
        needed = [group.committed.get(partition.place, 0) for group in holders]
        needed += [offset for offset in committed if offset is not None]
        if has_moved:
            assert partition.start_offset <= min(needed, default=0), f"{gone} went before {needed} were acknowledged"
        assert not first or first[-1].offset >= acknowledged, f"{first} stayed, and {acknowledged} are acknowledged"

    def _check_compaction(self, partition: ModelPartition, compact_all: bool) -> None:
        """The latest record of each key of the sealed segments is there, and nothing was made up."""
        sealed = [record for record in partition.records if record.offset < self._bases(partition.place)[-1]]
        latest = {record.key: record for record in sealed}
        found = list(self.log.partition(*partition.place).records())
        kept = {record.offset: record for record in found}
        for record in partition.records:
            is_needed = record not in sealed or record is latest[record.key]
            assert kept.pop(record.offset, None) == record or not (is_needed or record.offset in kept), f"{record} is gone"
        assert not kept, f"{kept} was never sent"
        if compact_all:
            assert [record for record in found if record in sealed] == sorted(latest.values(), key=lambda each: each.offset)
        self.counts["records compacted away"] += len(partition.records) - len(found)
        partition.compact(found)

    # --- the store as a whole --------------------------------------------------------------------------------

    @_is_time_for_rare_things
    @rule(host=hosts, closes=st.booleans())
    def reopen(self, host: int, closes: bool) -> None:
        """Close a process's store, which appends what its producers have gathered, and open its consumers again. They may be
        closed before that, each by itself, or with the store."""
        if host not in self.hosts:
            return
        self.is_rare()
        members = [member for member in self.model.members.values() if member.host == host]
        for member in members:
            if closes:
                self.leave(member)
            else:
                self.end_with_store(member)
        self.hosts.pop(host).close()
        if host == 0:
            self.open_here()
        self.take_account(host)
        self.sent[host] = []
        for member in members:
            self.open_like(member)
        self.counts["reopenings"] += 1

    @_is_time_for_rare_things
    @rule()
    def reboot(self) -> None:
        """Kill everybody else, and let the machine start anew, with the same members. The pages of files stay, but nobody
        believes what was mapped."""
        self.is_rare()
        members = list(self.model.members.values())
        for host in [host for host in self.hosts if host != 0]:
            self.kill(host)
        self.close_here()
        self.open_here()  # what waited in the producer of this process was appended
        self.take_account(0)
        self.sent[0] = []
        self.hosts[0].close()
        for file in (self.store / "shared").iterdir():
            if file.suffix in (".head", ".acks"):
                heads.simulate_reboot(file)
        self.open_here()
        self._take_account_of_lost_commits()
        for member in members:
            self.open_like(member)
        self.counts["reboots"] += 1

    def _take_account_of_lost_commits(self) -> None:
        """What was committed and not synced may be lost, but never what was synced."""
        for group in self.model.groups.values():
            found = self.log.group(group.name).committed()
            for place in group.committed.keys() | found.keys():
                bounds = group.synced.get(place, -1), group.committed.get(place, -1)
                assert bounds[0] <= found.get(place, -1) <= bounds[1], f"{group.name} is at {found} of {place}, not {bounds}"
            group.committed = dict(found)
            group.sync()

    @_is_time_for_rare_things
    @rule(host=hosts, link=st.booleans())
    def back_up(self, host: int, link: bool) -> None:
        """A backup, restored elsewhere, is the store of this moment."""
        self.is_rare()
        backup, restored = self.directory / "backup", self.directory / "restored"
        self.do(host, "backup", backup, link)
        assert not any(report.problems for report in eventlog.verify_backup(backup))
        eventlog.restore(backup, restored)
        with eventlog.open(restored, create=False) as log:
            self.compare(log)
        for directory in (backup, restored):
            shutil.rmtree(directory)
        self.counts["backups"] += 1


def wait_for_next_ms() -> None:
    """Return in a later millisecond of the wall clock than that of the call."""
    begin = now_ms()
    while now_ms() <= begin:
        continue


def _deletions(report: MaintenanceReport) -> list[tuple[object, ...]]:
    """What a round has deleted, or would delete, and why."""
    return [
        (done.topic, done.partition, done.start_offset, done.reason, done.deleted_segments, done.deleted_records)
        for done in report.partitions
        if done.reason
    ]
