"""Messages from a topic of another store, by their positions there."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from eventlog.bridges.endpoints import SourceContext
from eventlog.bridges.message import Message, Origin, Position, without_bookkeeping
from eventlog.bridges.store.opening import OtherStore
from eventlog.bridges.topics import topic_id
from eventlog.bridges.url import Url
from eventlog.consumer.rebalance import RebalanceListener
from eventlog.errors import BridgeError, EventLogError, InvalidArgumentError, StaleMemberError
from eventlog.options import check_group_name
from eventlog.records.record import Record, TopicPartition

if TYPE_CHECKING:
    from eventlog import contract

_GROUP = "group"


def make_source(url: Url, context: SourceContext) -> StoreSource:
    """The source of an `eventlog:` URL. Its option `group` names the consumer group there; without it, "collect-TOPIC"."""
    if context.key is not None or context.identity is not None:
        raise InvalidArgumentError(f"records of {url} have keys and positions of their own: leave the options for these out")
    store = OtherStore(url, context.open_log, context.create, frozenset((_GROUP,)))
    group = check_group_name(url.options.get(_GROUP, f"collect-{context.topic}"))
    return StoreSource(store, group, context)


class StoreSource:
    """A member of a consumer group there, so that several bridges share the partitions. Where a partition goes on is decided by
    what the target has, not by what was committed."""

    system = OtherStore.system

    def __init__(self, store: OtherStore, group: str, context: SourceContext) -> None:
        self.label = store.label
        self._store = store
        self._group = group
        self._context = context
        self._consumer: contract.Consumer | None = None
        self._origin: Origin | None = None
        self._new: list[TopicPartition] = []

    def open(self) -> None:
        """As `Source.open`."""
        log = self._store.open()
        with self._store.failures():
            self._origin = self._found_origin()
            self._new = []
            self._consumer = log.consumer(self._store.topic, group=self._group, listener=_Listener(self._new))

    def _found_origin(self) -> Origin:
        assert self._store.log is not None
        return Origin(topic_id(self._store.log.topic(self._store.topic)), self._store.topic, self._group)

    def receive(self, timeout: float, count_max: int) -> Sequence[Message]:
        """As `Source.receive`."""
        assert self._consumer is not None and self._origin is not None, "the source is not open"
        with self._store.failures():
            records = self._consumer.poll(timeout, max_records=count_max)
            while self._new:
                self._origin = self._found_origin()  # the topic may have been deleted and created again
                self._seek(self._consumer, self._origin)
                records = self._consumer.poll(timeout, max_records=count_max)
            return [_message(record, self._origin) for record in records]

    def _seek(self, consumer: contract.Consumer, origin: Origin) -> None:
        """New partitions: begin at the first record that the target lacks. What was polled is polled again."""
        for partition in consumer.assignment():
            position = self._context.position(origin.source(partition.partition), partition.partition)
            with suppress(StaleMemberError):
                consumer.seek_to_beginning(partition)
                if position is not None and position > consumer.position(partition):
                    consumer.seek(partition, position)
        self._new.clear()

    def acknowledge(self, messages: Sequence[Message]) -> None:
        """As `Source.acknowledge`. The commit is for people, and for `retention.acked`."""
        assert self._consumer is not None
        offsets = {
            TopicPartition(self._store.topic, message.partition or 0): message.position.offset + 1
            for message in messages
            if message.position is not None
        }
        with self._store.failures(), suppress(StaleMemberError):
            self._consumer.commit(offsets)

    def refuse(self, message: Message, reason: str) -> None:
        """As `Source.refuse`. Raises `BridgeError`: a store has no queue for such records."""
        raise BridgeError(f"{self.label} has no queue for records that are refused: use dead-letter:TOPIC ({reason})")

    def depth(self) -> int | None:
        """As `Source.depth`: the group's lag."""
        if self._store.log is None:
            return None
        with suppress(EventLogError):
            return sum(lag or 0 for lag in self._store.log.group(self._group).lag().values())
        return None

    def close(self) -> None:
        """As `Source.close`."""
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            with suppress(EventLogError):
                consumer.close()
        self._store.close()


def _message(record: Record, origin: Origin) -> Message:
    return Message(
        record.value, record.key, without_bookkeeping(record.headers), record.timestamp,
        position=Position(origin.source(record.partition), record.offset), partition=record.partition,
    )  # fmt: skip


class _Listener(RebalanceListener):
    def __init__(self, new: list[TopicPartition]) -> None:
        self._new = new

    def assigned(self, partitions: Sequence[TopicPartition]) -> None:
        self._new.extend(partitions)
