"""From a Kafka cluster to a store. Headers of the records in the store say where each is in Kafka."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, cast

from eventlog.bridges.appending import TopicAppender
from eventlog.bridges.endpoints import SourceContext
from eventlog.bridges.kafka.cluster import Cluster, FoundTopic
from eventlog.bridges.kafka.mirror.context import MirrorContext
from eventlog.bridges.kafka.mirror.differences import Difference, first_at_least, settings_for_store
from eventlog.bridges.kafka.mirror.stamps import Stamps
from eventlog.bridges.kafka.source import KafkaSource, source_name
from eventlog.bridges.message import OFFSET_HEADER, SOURCE_HEADER
from eventlog.bridges.url import Url
from eventlog.errors import InvalidArgumentError
from eventlog.groups.remote_commits import RemoteCommit, commit_from_outside
from eventlog.records.record import TopicPartition

if TYPE_CHECKING:
    from eventlog import contract

_WINDOW_RECORDS = 5_000
_RECEIVE_SECONDS = 0.1
_PROBE_RECORDS = 20


def make_copier(url: Url, context: MirrorContext) -> InboundMirror:
    """A cluster as the source. Raises `InvalidArgumentError`."""
    return InboundMirror(Cluster(url), context)


class InboundMirror:
    """Copies what matches from a cluster to a store, each record once. For one thread. A `Copier`."""

    system = "kafka"

    def __init__(self, cluster: Cluster, context: MirrorContext) -> None:
        self.label = cluster.label
        self.records = self.bytes = 0
        self._log = context.log
        self._contract = cast("contract.Log", context.log)
        self._groups = context.groups
        self._cluster = cluster
        self._selection = context.selection
        self._open_log = context.open_log
        self._sources: dict[str, tuple[str, KafkaSource, TopicAppender]] = {}  # with the topics' ids

    def open(self) -> None:
        """As `Copier.open`."""
        self._cluster.topics()

    def round(self, *, execute: bool, may_go_on: Callable[[], bool]) -> Iterator[Difference]:
        """As `Copier.round`, of the store."""
        found = {name: self._cluster.find(name) for name in self._selection.of_topics(self._cluster.topics())}
        for topic in found.values():
            yield from self._align(topic, execute=execute)
            yield from self._copy(topic, may_go_on) if execute else self._missing(topic)
        yield from self._commit(found, execute=execute)

    def close(self) -> None:
        """Disconnect; the next round connects again."""
        for _, source, _ in self._sources.values():
            source.close()
        self._sources.clear()

    # --- topics --------------------------------------------------------------------------------------------

    def _align(self, found: FoundTopic, *, execute: bool) -> Iterator[Difference]:
        wanted = {name: found.settings.get(name) for name in found.given | {"retention.ms"} if name in found.settings}
        accepted, left_out = settings_for_store(wanted)
        if found.name not in self._log.topics():
            yield Difference("topic", found.name, after=found.partitions)
            yield from (each._replace(topic=found.name) for each in left_out)
            if execute:
                self._log.create_topic(found.name, found.partitions, accepted)
            return
        topic = self._log.topic(found.name)
        has = topic.settings().of_kafka()
        changes = {name: value for name, value in accepted.items() if str(has.get(name)) != value}
        for name, value in changes.items():
            yield Difference("setting", found.name, name=name, before=has.get(name), after=value)
        more = found.partitions if found.partitions > topic.partitions else None
        if more is not None:
            yield Difference("partitions", found.name, before=topic.partitions, after=more)
        if execute and (changes or more is not None):
            self._log.alter_topic(found.name, partitions=more, config=changes)

    # --- records -------------------------------------------------------------------------------------------

    def _copy(self, found: FoundTopic, may_go_on: Callable[[], bool]) -> Iterator[Difference]:
        source, appender = self._opened(found)
        before = appender.appended
        ends = source.ends()
        while not source.has_reached(ends) and may_go_on():
            messages = source.receive(_RECEIVE_SECONDS, _WINDOW_RECORDS)
            had = appender.appended, appender.bytes
            appender.append(messages, source.refuse)
            self.records += appender.appended - had[0]
            self.bytes += appender.bytes - had[1]
        appender.flush()
        if appender.appended > before:
            yield Difference("records", found.name, after=appender.appended - before)

    def _opened(self, found: FoundTopic) -> tuple[KafkaSource, TopicAppender]:
        topic_id, source, _ = self._sources.get(found.name, ("", None, None))
        if topic_id != found.id:  # it is new, or was deleted and created again
            if source is not None:
                source.close()
            appender = TopicAppender(self._contract, found.name)
            context = SourceContext(
                found.name, appender.position, None, None, None, _WINDOW_RECORDS, found.message_bytes_max, self._open_log
            )
            source = KafkaSource(self._cluster.with_topic(found.name), context)
            self._sources[found.name] = found.id, source, appender
            source.open()
        _, source, appender = self._sources[found.name]
        appender.refresh()
        return source, appender

    def _missing(self, found: FoundTopic) -> Iterator[Difference]:
        appender = TopicAppender(self._contract, found.name) if found.name in self._log.topics() else None
        stamps = Stamps(self._cluster)
        for partition, bounds in enumerate(self._cluster.bounds(found)):
            is_there = appender is not None and partition < appender.partition_count
            position = appender.position(source_name(found, partition), partition) if appender and is_there else None
            first = max(position or 0, bounds.start)
            if first < bounds.stop and stamps.has_records(found.name, partition, first):
                yield Difference("records", found.name, partition, after=bounds.stop - first)
        stamps.close()

    # --- groups --------------------------------------------------------------------------------------------

    def _commit(self, found: dict[str, FoundTopic], *, execute: bool) -> Iterator[Difference]:
        for group in self._selection.of_groups(self._cluster.groups()):
            wanted = {
                partition: self._translated(found[partition.topic], partition, offset)
                for partition, offset in self._cluster.committed(group).items()
                if partition.topic in found and partition.topic in self._log.topics()
            }
            has = self._has(group)
            changes = {each: offset for each, offset in wanted.items() if offset > has.get(each, -1)}
            failure = self._set(group, changes) if execute and changes else None
            for each, offset in sorted(changes.items()):
                difference = Difference("group", *each, name=group, before=has.get(each), after=offset)
                yield difference if failure is None else difference._replace(kind="left out", after=failure)

    def _has(self, group: str) -> dict[TopicPartition, int]:
        table = self._groups.find(group)
        return {} if table is None else table.all_committed()

    def _set(self, group: str, offsets: dict[TopicPartition, int]) -> str | None:
        """Why the offsets cannot be set; None if they are."""
        try:
            commit_from_outside(self._groups, group, {each: RemoteCommit(offset) for each, offset in offsets.items()})
        except InvalidArgumentError as error:
            return str(error)
        return None

    def _translated(self, found: FoundTopic, partition: TopicPartition, offset: int) -> int:
        """The offset in the store of the first record that is not before this offset in Kafka."""
        if partition.partition >= self._log.topic(partition.topic).partitions:
            return 0
        log = self._log.partition(*partition)
        source = source_name(found, partition.partition).encode()
        return first_at_least(log.start_offset, log.end_offset, lambda at: _is_before(log, at, source, offset))


def _is_before(log: contract.Partition, at: int, source: bytes, offset: int) -> bool:
    """Is the next record of the source, from `at` on, before `offset` there?"""
    for record in log.read(at, _PROBE_RECORDS):
        headers = dict(record.headers)
        if headers.get(SOURCE_HEADER) == source:
            return int(headers[OFFSET_HEADER] or b"0") < offset
    return False
