"""Sequence numbers: by them a partition recognises a batch that it already has."""

from __future__ import annotations

from collections.abc import Callable

from eventlog._native import Gathered
from eventlog.records.batch import BatchOrigin
from eventlog.records.record import TopicPartition
from eventlog.storage.partition.writer import RecordWriter

_SEQUENCES = 2**31  # the last one is followed by 0


class Sequences:
    """Numbers the records of one producer in each partition. `first_sequence` tells the number of its first record in a
    partition, and `before_append` is called before each batch; for a partition both are called by one thread at a time."""

    def __init__(
        self,
        producer_id: int,
        epoch: int,
        *,
        is_transactional: bool = False,
        first_sequence: Callable[[TopicPartition], int] = lambda partition: 0,
        before_append: Callable[[TopicPartition], None] = lambda partition: None,
    ) -> None:
        self._producer_id = producer_id
        self._epoch = epoch
        self._is_transactional = is_transactional
        self._first_sequence = first_sequence
        self._before_append = before_append
        self._following: dict[TopicPartition, int] = {}

    def append(self, partition: TopicPartition, writer: RecordWriter, part: Gathered, compression: str | None) -> None:
        """Append a batch, and tell it where it is. After an error or an interrupt it may be repeated: it is appended once."""
        sequence = self._following.get(partition)
        if sequence is None:
            sequence = self._first_sequence(partition)
        self._before_append(partition)
        count = part.count
        writer.append_as(
            BatchOrigin(self._producer_id, self._epoch, sequence, self._is_transactional),
            part.values, part.keys, part.headers, part.timestamps, compression=compression, address=part.address,
        )  # fmt: skip
        self._following[partition] = (sequence + count) % _SEQUENCES

    def append_at(
        self, sequence: int, partition: TopicPartition, writer: RecordWriter, part: Gathered, compression: str | None
    ) -> None:
        """As `append`, with a number that the caller chose."""
        self._following[partition] = sequence
        try:
            self.append(partition, writer, part, compression)
        finally:
            del self._following[partition]  # it may be an old one, or one that was refused
