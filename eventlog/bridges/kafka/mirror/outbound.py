"""From a store to a Kafka cluster. Headers of the records in Kafka say where each is in the store."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from eventlog.bridges.endpoints import Outcomes, SinkContext
from eventlog.bridges.kafka.cluster import SECONDS_MAX, Cluster, FoundTopic
from eventlog.bridges.kafka.lane import read_position
from eventlog.bridges.kafka.mirror.context import MirrorContext
from eventlog.bridges.kafka.mirror.differences import Difference, settings_for_kafka
from eventlog.bridges.kafka.mirror.stamps import Stamps
from eventlog.bridges.kafka.sink import KafkaSink, lane_name
from eventlog.bridges.message import Origin
from eventlog.bridges.topics import topic_id
from eventlog.bridges.url import Url
from eventlog.catalog.topics import TopicDescription
from eventlog.errors import BridgeError, ConnectionLostError
from eventlog.records.record import Record, TopicPartition

if TYPE_CHECKING:
    from eventlog import contract

_GROUP = "mirror"  # which stands for this bridge among those that send a topic to Kafka
_WINDOW_RECORDS = 20_000
_WINDOW_BYTES = 32 * 1024 * 1024
_POLL_RECORDS = 500
_WAIT_SECONDS = 0.5
_VISIBLE_SECONDS = 0.02


def make_copier(url: Url, context: MirrorContext) -> OutboundMirror:
    """A cluster as the target. Raises `InvalidArgumentError`."""
    return OutboundMirror(Cluster(url), context)


class _Route:
    """A topic on its way: the sink, a consumer that reads what it lacks, and what they were made for: the topic, which may be
    deleted and created again, and the number of its partitions."""

    def __init__(self, sink: KafkaSink, consumer: contract.Consumer, made_for: tuple[Origin, int]) -> None:
        self.sink = sink
        self.consumer = consumer
        self.made_for = made_for

    def close(self) -> None:
        """Let both go."""
        self.sink.close()
        self.consumer.close()


class OutboundMirror:
    """Copies what matches from a store to a cluster, each record once. For one thread. A `Copier`."""

    system = "kafka"

    def __init__(self, cluster: Cluster, context: MirrorContext) -> None:
        self.label = cluster.label
        self.records = self.bytes = 0
        self._log = context.log
        self._groups = context.groups
        self._make_consumer = context.make_consumer
        self._cluster = cluster
        self._selection = context.selection
        self._open_log = context.open_log
        self._routes: dict[str, _Route] = {}
        self._stamps: Stamps | None = None

    def open(self) -> None:
        """As `Copier.open`."""
        self._cluster.topics()

    def round(self, *, execute: bool, may_go_on: Callable[[], bool]) -> Iterator[Difference]:
        """As `Copier.round`, of the cluster."""
        there = set(self._cluster.topics())
        topics = {name: self._log.topic(name) for name in self._selection.of_topics(self._log.topics())}
        for name, topic in topics.items():
            found = self._cluster.find(name) if name in there else None
            yield from self._align(topic, found, execute=execute)
            yield from self._copy(topic, may_go_on) if execute else self._missing(topic, found)
        yield from self._commit({name: topic for name, topic in topics.items() if execute or name in there}, execute=execute)

    def close(self) -> None:
        """Disconnect; the next round connects again."""
        for route in self._routes.values():
            route.close()
        self._routes.clear()
        if self._stamps is not None:
            self._stamps.close()
            self._stamps = None

    # --- topics --------------------------------------------------------------------------------------------

    def _align(self, topic: TopicDescription, found: FoundTopic | None, *, execute: bool) -> Iterator[Difference]:
        wanted = settings_for_kafka(topic.settings())
        if found is None:
            yield Difference("topic", topic.name, after=topic.partitions)
            if execute:
                self._cluster.create(topic.name, topic.partitions, wanted)
            return
        changes = {name: value for name, value in wanted.items() if found.settings.get(name) != value}
        for name, value in changes.items():
            yield Difference("setting", topic.name, name=name, before=found.settings.get(name), after=value)
        more = topic.partitions if topic.partitions > found.partitions else None
        if more is not None:
            yield Difference("partitions", topic.name, before=found.partitions, after=more)
        if execute:
            self._cluster.alter(topic.name, more, changes)

    # --- records -------------------------------------------------------------------------------------------

    def _origin(self, topic: TopicDescription) -> Origin:
        return Origin(topic_id(topic), topic.name, _GROUP)

    def _copy(self, topic: TopicDescription, may_go_on: Callable[[], bool]) -> Iterator[Difference]:
        route = self._route(topic)
        under_way = copied = 0
        reached: dict[TopicPartition, int] = {}
        ends = {each: self._log.partition(*each).end_offset for each in _partitions(topic)}
        is_sending = True
        while is_sending or under_way:
            is_sending = is_sending and may_go_on() and any(route.consumer.position(each) < end for each, end in ends.items())
            records = route.consumer.poll(0, _POLL_RECORDS) if is_sending else []
            route.sink.send(records)
            is_sending = bool(records)
            confirmed = self._confirmed(route.sink.outcomes(0 if is_sending else _WAIT_SECONDS))
            under_way += len(records) - len(confirmed)
            copied += len(confirmed)
            self.records += len(confirmed)
            self.bytes += sum(len(each.value or b"") + len(each.key or b"") for each in confirmed)
            reached.update({TopicPartition(each.topic, each.partition): each.offset + 1 for each in confirmed})
        self._await_visible(topic, reached)
        if copied:
            yield Difference("records", topic.name, after=copied)

    def _await_visible(self, topic: TopicDescription, positions: Mapping[TopicPartition, int]) -> None:
        """Kafka confirms a transaction before its records are visible, without which no offset can be translated."""
        deadline = time.monotonic() + SECONDS_MAX
        for each, position in positions.items():
            while self._stamped().next(*each, self._origin(topic).source(each.partition)) < position:
                if time.monotonic() > deadline:
                    raise ConnectionLostError(f"{self.label}: what was committed to {each} does not become visible")
                time.sleep(_VISIBLE_SECONDS)

    def _route(self, topic: TopicDescription) -> _Route:
        """What copies the topic, from where Kafka has it."""
        found, made_for = self._routes.get(topic.name), (self._origin(topic), topic.partitions)
        if found is not None and found.made_for == made_for:
            return found
        if found is not None:
            del self._routes[topic.name]
            found.close()
        context = SinkContext(self._origin(topic), _WINDOW_RECORDS, _WINDOW_BYTES, None, self._open_log)
        sink = KafkaSink(self._cluster.with_topic(topic.name), context, is_stamped=True)
        route = self._routes[topic.name] = _Route(sink, self._make_consumer(), made_for)
        sink.open()
        starts = {each: self._log.partition(*each).start_offset for each in _partitions(topic)}
        route.consumer.assign(starts)
        known = sink.assign(starts)
        for each in starts:
            # Kafka forgets positions that nobody has used for a week.
            position = known[each] if each in known else self._stamped().next(*each, self._origin(topic).source(each.partition))
            starts[each] = max(starts[each], position)
        for each, offset in starts.items():
            end_offset = self._log.partition(*each).end_offset
            if offset > end_offset:
                raise BridgeError(
                    f"{sink.label} has the records of {each} up to offset {offset}, but the partition ends at {end_offset}: "
                    "it has lost records, or was restored from an older backup"
                )
            route.consumer.seek(each, offset)
        return route

    def _confirmed(self, outcomes: Outcomes) -> Sequence[Record]:
        for record, reason in outcomes.refused:
            raise BridgeError(
                f"{self.label}: {record.topic}/{record.partition}, offset {record.offset}, is refused: {reason}"
            )
        if outcomes.fenced:
            raise BridgeError(f"{self.label}: another mirror copies {outcomes.fenced[0]}: stop one of them")
        return outcomes.confirmed

    def _missing(self, topic: TopicDescription, found: FoundTopic | None) -> Iterator[Difference]:
        for each in _partitions(topic):
            partition = self._log.partition(*each)
            position = None
            if found is not None:
                with self._cluster.errors("ask for positions"):
                    position = read_position(self._cluster, found, each.partition, lane_name(self._origin(topic)))
            first = max(position or 0, partition.start_offset)
            if self._has_records(each, first):
                yield Difference("records", *each, after=partition.end_offset - first)

    def _has_records(self, partition: TopicPartition, offset: int) -> bool:
        """Is there a committed record? Offsets alone do not say: there are marks of transactions, too."""
        consumer = self._make_consumer()
        try:
            consumer.assign([partition])
            consumer.seek(partition, offset)
            return bool(consumer.poll(0, 1))
        finally:
            consumer.close()

    # --- groups --------------------------------------------------------------------------------------------

    def _commit(self, topics: dict[str, TopicDescription], *, execute: bool) -> Iterator[Difference]:
        for group in self._selection.of_groups(self._log.store.catalog.groups.names()):
            table = self._groups.find(group)
            committed = table.all_committed() if table is not None else {}
            of_topics = {each: offset for each, offset in committed.items() if each.topic in topics}
            if not of_topics:
                continue
            wanted = {each: self._translated(topics[each.topic], each, offset) for each, offset in of_topics.items()}
            has = self._cluster.committed(group)
            changes = {each: offset for each, offset in wanted.items() if offset > has.get(each, -1)}
            failure = self._set(group, changes) if execute and changes else None
            for each, offset in sorted(changes.items()):
                difference = Difference("group", *each, name=group, before=has.get(each), after=offset)
                yield difference if failure is None else difference._replace(kind="left out", after=failure)

    def _set(self, group: str, offsets: dict[TopicPartition, int]) -> str | None:
        """Why the offsets cannot be set; None if they are."""
        try:
            self._cluster.commit(group, offsets)
        except BridgeError as error:
            return str(error)
        return None

    def _translated(self, topic: TopicDescription, partition: TopicPartition, offset: int) -> int:
        return self._stamped().translated(*partition, self._origin(topic).source(partition.partition), offset)

    def _stamped(self) -> Stamps:
        if self._stamps is None:
            self._stamps = Stamps(self._cluster)
        return self._stamps


def _partitions(topic: TopicDescription) -> list[TopicPartition]:
    return [TopicPartition(topic.name, number) for number in range(topic.partitions)]
