"""Kafka as the target of a bridge: each source partition has its own lane, so that several bridges share the work."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from confluent_kafka import KafkaException

from eventlog.bridges.endpoints import Outcomes, Refusal, SinkContext
from eventlog.bridges.kafka.cluster import FENCED, Cluster, FoundTopic
from eventlog.bridges.kafka.lane import Lane
from eventlog.bridges.message import Origin
from eventlog.bridges.url import Url
from eventlog.errors import BridgeError, InvalidArgumentError
from eventlog.records.record import Record, TopicPartition

_LANES_AT_ONCE = 8  # that are made at the same time


def make_sink(url: Url, context: SinkContext) -> KafkaSink:
    """The topic of a `kafka:` URL as a sink. Raises `InvalidArgumentError`."""
    return KafkaSink(Cluster(url), context)


def lane_name(origin: Origin) -> str:
    """The group in which Kafka keeps how far a ship has come: the same for all of its members, in every process."""
    return f"eventlog-{origin.id}-{origin.topic}-{origin.group}"


class KafkaSink:
    """Gives records to a topic of Kafka's, exactly once, and those of each partition in order.

    A record keeps the number of its partition, unless the URL has a `partitioner`: then its key decides."""

    system = "kafka"

    def __init__(self, cluster: Cluster, context: SinkContext, *, is_stamped: bool = False) -> None:
        """If it `is_stamped`, headers of each record in Kafka say where it comes from."""
        if not cluster.topic:
            raise InvalidArgumentError(f"{cluster.label} must name a topic: kafka://HOST:PORT/TOPIC")
        if context.create and not context.create.isdecimal():
            raise InvalidArgumentError(f"a topic of Kafka's is created with a number of partitions, not {context.create!r}")
        self._partitions = int(context.create or -1)
        self.label = cluster.label
        self._cluster = cluster
        self._context = context
        self._target: FoundTopic | None = None
        self._is_stamped = is_stamped
        self._lanes: dict[TopicPartition, Lane] = {}

    def open(self) -> None:
        """As `Sink.open`; a topic that is missing is created with `create` partitions, "": as many as the broker has by
        default."""
        if self._context.create is not None:
            self._cluster.create(self._cluster.topic, self._partitions)
        self._target = self._cluster.find(self._cluster.topic)

    def assign(self, partitions: Mapping[TopicPartition, int]) -> Mapping[TopicPartition, int]:
        """As `Sink.assign`. Fences whoever had these partitions."""
        self.revoke(list(partitions))
        with self._cluster.errors("begin"), ThreadPoolExecutor(_LANES_AT_ONCE) as threads:
            begun = {each: threads.submit(self._lane, each) for each in partitions}
            self._lanes.update({each: lane.result() for each, lane in begun.items()})
        positions = {each: self._lanes[each].position for each in partitions}
        return {each: position for each, position in positions.items() if position is not None}

    def _lane(self, source: TopicPartition) -> Lane:
        assert self._target is not None
        by_key = "partitioner" in self._cluster.settings
        if not by_key and source.partition >= self._target.partitions:
            raise BridgeError(
                f"{self.label} has {self._target.partitions} partitions, so there is none for {source}: add partitions, or "
                "let keys decide with the option partitioner=murmur2_random"
            )
        origin = self._context.origin
        stamp = origin.source(source.partition) if self._is_stamped else ""
        return Lane(self._cluster, self._target, source.partition, lane_name(origin), by_key=by_key, stamp=stamp)

    def revoke(self, partitions: Sequence[TopicPartition]) -> None:
        """As `Sink.revoke`."""
        for each in partitions:
            lane = self._lanes.pop(each, None)
            if lane is not None:
                lane.close()

    def room(self) -> int:
        """As `Sink.room`."""
        return self._context.window_records

    def send(self, records: Sequence[Record]) -> None:
        """As `Sink.send`."""
        by_partition: dict[tuple[str, int], list[Record]] = defaultdict(list)
        for record in records:
            by_partition[record[:2]].append(record)
        with self._cluster.errors("send"):
            for source, its_records in by_partition.items():
                if (lane := self._lanes.get(TopicPartition(*source))) is not None:
                    lane.send(its_records)

    def outcomes(self, timeout: float) -> Outcomes:
        """As `Sink.outcomes`. Commits what is under way once it is a window, or nothing more is to be sent."""
        busy = {source: lane for source, lane in self._lanes.items() if lane.under_way}
        if timeout <= 0 and 2 * sum(lane.under_way for lane in busy.values()) < self._context.window_records:
            return Outcomes()
        confirmed: list[Record] = []
        refused: list[Refusal] = []
        fenced = []
        with self._cluster.errors("commit"):
            for source, lane in busy.items():
                try:
                    found = lane.finish()
                except KafkaException as error:
                    if error.args[0].name() not in FENCED:
                        raise
                    fenced.append(source)
                    continue
                confirmed += found.confirmed
                refused += found.refused
        self.revoke(fenced)
        return Outcomes(confirmed, refused, fenced)

    def close(self) -> None:
        """As `Sink.close`."""
        self.revoke(list(self._lanes))
