"""eventlog itself, through its public functions."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import ClassVar

import eventlog
from benchmarks.peers.peer import RECEIVE_SECONDS_MAX, Peer, Session, Stream
from benchmarks.workloads import Events

FSYNC = {"process": "never", "disk": "always"}


class _Session(Session):
    def __init__(self, stream: Stream, partition: int) -> None:
        self._log = eventlog.open(stream.directory, fsync=FSYNC[stream.durability])
        self._topic = stream.name
        self._compression = stream.workload.compression
        self._partition = self._log.partition(stream.name, partition)

    def appender(self) -> Callable[..., object]:
        return self._partition.append

    def append_batches(self, batches: Sequence[Events]) -> None:
        append_many, compression = self._partition.append_many, self._compression
        for batch in batches:
            append_many(batch.values, keys=batch.keys, headers=batch.headers, compression=compression)

    def send(self, events: Events) -> None:
        with self._log.producer(linger_ms=5, batch_bytes=65_536, compression=self._compression) as producer:
            self._send_by(producer, events)

    def produce(self, events: Events) -> None:
        with self._log.producer(compression=self._compression) as producer:
            self._send_by(producer, events)

    def _send_by(self, producer: eventlog.Producer, events: Events) -> None:
        send, topic = producer.send, self._topic
        if events.keys is None:
            for value in events.values:
                send(topic, value)
        else:
            for row in events.rows():
                send(topic, *row)

    def read(self, count: int) -> None:
        deque(self._partition.values(0, count), maxlen=0)

    def read_records(self, count: int) -> None:
        deque(self._partition.records(0, count), maxlen=0)

    def read_columns(self, count: int) -> None:
        deque(self._partition.columns(0, count), maxlen=0)

    def seek(self, offsets: Sequence[int]) -> None:
        read = self._partition.read
        for offset in offsets:
            read(offset, 1)

    def join(self, is_committing: bool) -> None:
        self._consumer = self._log.consumer(self._topic, group="readers" if is_committing else None)
        self._consumer.poll(max_records=1)

    def consume(self, count: int, commit_every: int | None) -> None:
        consumer = self._consumer
        if commit_every == 1:
            for number, _ in enumerate(consumer, 1):
                consumer.commit()
                if number == count:
                    return
        seen = 0
        while seen < count:
            seen += len(consumer.poll(max_records=commit_every or 1000))
            if commit_every is not None:
                consumer.commit()

    def commit(self, count: int) -> None:
        next(iter(self._consumer))  # as those do who commit after each record
        commit = self._consumer.commit
        for _ in range(count):
            commit()

    def listen(self) -> None:
        self._received = self._partition.end_offset

    def receive(self) -> None:
        if not self._partition.wait(self._received, RECEIVE_SECONDS_MAX):
            raise TimeoutError("no event came")
        self._partition.read(self._received, 1)
        self._received += 1

    def close(self) -> None:
        self._log.close()


class Contender(Peer):
    """A store with one topic."""

    name = "eventlog"
    packages = ("eventlog-store",)
    has_columns = True
    has_producer = True
    settings: ClassVar = {"process": 'fsync="never"', "disk": 'fsync="always"'}

    def create(self, stream: Stream) -> None:
        with eventlog.open(stream.directory, fsync="never") as log:
            log.create_topic(stream.name, stream.partitions)

    def open(self, stream: Stream, partition: int = 0) -> Session:
        return _Session(stream, partition)

