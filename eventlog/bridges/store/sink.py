"""Records into a topic of another store, each with its position in the topic that it comes from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from eventlog.bridges.appending import TopicAppender
from eventlog.bridges.endpoints import Outcomes, Refusal, SinkContext
from eventlog.bridges.message import Message, Position, without_bookkeeping
from eventlog.bridges.store.opening import OtherStore
from eventlog.bridges.url import Url
from eventlog.records.record import Record, TopicPartition


def make_sink(url: Url, context: SinkContext) -> StoreSink:
    """The sink of an `eventlog:` URL."""
    return StoreSink(OtherStore(url, context.open_log, context.create), context)


class StoreSink:
    """Appends what was sent when outcomes are asked for: then the records are known to be there, and on disk.

    A partition's records go to the partition of the same number, or to that number modulo the target's partitions."""

    system = OtherStore.system

    def __init__(self, store: OtherStore, context: SinkContext) -> None:
        self.label = store.label
        self._store = store
        self._context = context
        self._appender: TopicAppender | None = None
        self._sent: list[Record] = []

    def open(self) -> None:
        """As `Sink.open`."""
        self._sent = []
        log = self._store.open()
        with self._store.failures():
            self._appender = TopicAppender(log, self._store.topic)

    def _open_appender(self) -> TopicAppender:
        assert self._appender is not None, "the sink is not open"
        return self._appender

    def assign(self, partitions: Mapping[TopicPartition, int]) -> Mapping[TopicPartition, int]:
        """As `Sink.assign`. Nobody is fenced: an append that another bridge has overtaken sees that it is no longer needed."""
        appender, found = self._open_appender(), {}
        with self._store.failures():
            for each in partitions:
                position = appender.position(self._context.origin.source(each.partition), each.partition)
                if position is not None:
                    found[each] = position
        return found

    def revoke(self, partitions: Sequence[TopicPartition]) -> None:
        """As `Sink.revoke`."""
        numbers = {each.partition for each in partitions}
        self._sent = [record for record in self._sent if record.partition not in numbers]

    def room(self) -> int:
        """As `Sink.room`."""
        return max(0, self._context.window_records - len(self._sent))

    def send(self, records: Sequence[Record]) -> None:
        """As `Sink.send`."""
        self._sent.extend(records)

    def outcomes(self, timeout: float) -> Outcomes:
        """As `Sink.outcomes`."""
        if not self._sent:
            return Outcomes()
        appender, origin, sent = self._open_appender(), self._context.origin, self._sent
        messages = [
            Message(
                record.value, record.key, without_bookkeeping(record.headers), record.timestamp,
                position=Position(origin.source(record.partition), record.offset), partition=record.partition, token=record,
            )
            for record in sent
        ]  # fmt: skip
        with self._store.failures():
            too_large = appender.append(messages)
            appender.flush()
        self._sent = []
        refused = {id(each.message.token): each.reason for each in too_large}
        return Outcomes(
            [record for record in sent if id(record) not in refused],
            [Refusal(record, refused[id(record)]) for record in sent if id(record) in refused],
        )

    def close(self) -> None:
        """As `Sink.close`."""
        self._appender = None
        self._store.close()
