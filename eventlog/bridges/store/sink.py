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
    """Appends what was sent when outcomes are asked for: then the records are known to be there, and on disk. What comes behind
    a refused record waits for the next call.

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
        by_partition: dict[int, list[Record]] = {}
        for record in self._sent:
            by_partition.setdefault(record.partition, []).append(record)
        confirmed: list[Record] = []
        refused: list[Refusal] = []
        self._sent = []
        with self._store.failures():
            for records in by_partition.values():
                count = self._append(records, refused)
                confirmed += records[:count]
                self._sent += records[count + 1 :]  # behind one that is refused: once that one was taken care of
            if confirmed:
                self._open_appender().flush()
        return Outcomes(confirmed, refused)

    def _append(self, records: list[Record], refused: list[Refusal]) -> int:
        """Append up to the first record that the target does not take; returns how many that were."""
        source = self._context.origin.source(records[0].partition)
        messages = [
            Message(
                record.value, record.key, without_bookkeeping(record.headers), record.timestamp,
                position=Position(source, record.offset), partition=record.partition,
            )
            for record in records
        ]  # fmt: skip
        try:
            self._open_appender().append(messages, _refuse)
        except _RefusedHere as error:
            assert error.message.position is not None
            offset = error.message.position.offset
            count = next(number for number, record in enumerate(records) if record.offset == offset)
            refused.append(Refusal(records[count], error.reason))
            return count
        return len(records)

    def close(self) -> None:
        """As `Sink.close`."""
        self._appender = None
        self._store.close()


class _RefusedHere(Exception):
    def __init__(self, message: Message, reason: str) -> None:
        super().__init__(reason)
        self.message = message
        self.reason = reason


def _refuse(message: Message, reason: str) -> None:
    raise _RefusedHere(message, reason)
