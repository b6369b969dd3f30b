"""Sequence numbers: by them a partition recognises a batch that it already has."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from eventlog._native import Gathered
from eventlog.log import Log
from eventlog.records.batch import BatchOrigin
from eventlog.records.record import TopicPartition
from eventlog.storage.partition.writer import RecordWriter

_SEQUENCES = 2**31  # the last one is followed by 0


class _Attempt(NamedTuple):
    """A batch that the log was, or is, asked to append: `record_count` records from this number on."""

    batch: Gathered
    sequence: int
    record_count: int


class Sequences:
    """Numbers the records of one producer in each partition. With `continues` it goes on where the log says that the producer
    has stopped; otherwise the producer's epoch is new. `before_append` is called before each batch; for a partition it and the
    methods here are called by one thread at a time."""

    def __init__(
        self,
        log: Log,
        producer_id: int,
        epoch: int,
        *,
        is_transactional: bool = False,
        continues: bool = False,
        before_append: Callable[[TopicPartition], None] = lambda partition: None,
    ) -> None:
        self._log = log
        self._producer_id = producer_id
        self._epoch = epoch
        self._is_transactional = is_transactional
        self._continues = continues
        self._before_append = before_append
        self._attempts: dict[TopicPartition, _Attempt] = {}

    def append(self, partition: TopicPartition, writer: RecordWriter, part: Gathered, compression: str | None) -> None:
        """Append a batch, and tell it where it is. After an error or an interrupt it may be repeated with the same records: it
        is appended once."""
        attempt = self._attempts.get(partition)
        if attempt is None or attempt.batch is not part:
            attempt = _Attempt(part, self._following(partition, attempt), part.count)
            self._attempts[partition] = attempt  # before it is in the log: an interrupt may come as soon as it is
        self._before_append(partition)
        self._append_as(attempt.sequence, writer, part, compression)

    def append_at(
        self, sequence: int, partition: TopicPartition, writer: RecordWriter, part: Gathered, compression: str | None
    ) -> None:
        """As `append`, with a number that the caller chose."""
        self._attempts.pop(partition, None)  # it may be an old one, or one that is refused: then the log knows what follows
        self._before_append(partition)
        self._append_as(sequence, writer, part, compression)

    def may_have_appended(self, partition: TopicPartition, batch: Gathered) -> bool:
        """Was the log asked to append this batch? Then no more records may be added to it."""
        attempt = self._attempts.get(partition)
        return attempt is not None and attempt.batch is batch

    def next_in_log(self, partition: TopicPartition) -> int:
        """The number that the log expects next. Raises `TopicNotFoundError`, `LockTimeoutError`."""
        origin = self._producer_id, self._epoch
        producers = self._log.partition(*partition).log.producers()
        last = next((each.last_sequence for each in producers if (each.producer_id, each.epoch) == origin), -1)
        return (last + 1) % _SEQUENCES

    def _following(self, partition: TopicPartition, last: _Attempt | None) -> int:
        if last is None:
            return self.next_in_log(partition) if self._continues else 0
        if last.batch.first_offset is None:  # it was given up, and may be in the log all the same
            return self.next_in_log(partition)
        return (last.sequence + last.record_count) % _SEQUENCES

    def _append_as(self, sequence: int, writer: RecordWriter, part: Gathered, compression: str | None) -> None:
        writer.append_as(
            BatchOrigin(self._producer_id, self._epoch, sequence, self._is_transactional),
            part.values, part.keys, part.headers, part.timestamps, compression=compression, address=part.address,
        )  # fmt: skip
