"""A producer with a name: what it has appended is recognised after a crash of its process, too."""

from __future__ import annotations

from eventlog._native import Gathered
from eventlog.clock import Time, as_timestamp
from eventlog.errors import DuplicateSequenceError, OutOfOrderSequenceError
from eventlog.groups.registry import Groups
from eventlog.log import Log
from eventlog.options import check_number, check_text
from eventlog.producer.partition_sender import PartitionSender
from eventlog.producer.producer import Producer
from eventlog.producer.receipt import BatchReceipt, Receipt
from eventlog.producer.sequences import Sequences
from eventlog.records.batch import Headers
from eventlog.transactions.producer_ids import ProducerIds

_NAME_CHARACTERS_MAX = 200
_SEQUENCE_MAX = 2**31 - 1
_EPOCH = 0


class NamedProducer(Producer):
    """Numbers its records in each partition, and continues where an earlier producer of the same name has stopped. Created by
    `EventLog.producer(name=...)`. Only one may be in use at a time."""

    def __init__(
        self,
        log: Log,
        groups: Groups,
        producer_ids: ProducerIds,
        name: str,
        *,
        compression: str | None,
        linger_ms: int,
        batch_bytes: int,
        auto_create_topics: bool,
    ) -> None:
        check_text("name", name, _NAME_CHARACTERS_MAX)
        self.name = name
        self._producer_id = producer_ids.of_name(name)
        super().__init__(
            log,
            groups,
            compression=compression,
            linger_ms=linger_ms,
            batch_bytes=batch_bytes,
            auto_create_topics=auto_create_topics,
            sequences=Sequences(log, self._producer_id, _EPOCH, continues=True),
        )

    def __repr__(self) -> str:
        return f"<NamedProducer {self.name!r} of {self._log!r}>"

    def next_sequence(self, topic: str, partition: int) -> int:
        """The number of the next record of this producer in a partition: how many it has sent there, if it always used these
        numbers. After 2**31 - 1 comes 0; a partition forgets a producer that has sent nothing for a day. Raises
        `TopicNotFoundError`, `PartitionNotFoundError`."""
        assert self._sequences is not None
        return self._sequences.next_in_log(self._sender_to(topic, partition).topic_partition)

    def _sender_to(self, topic: str, partition: int) -> PartitionSender:
        if self._why_unusable is not None:
            self._refuse()
        return self._sender_of(topic, self._topics.get(topic) or self._open_topic(topic), partition)

    def send_once(
        self,
        topic: str,
        partition: int,
        sequence: int,
        value: bytes | None,
        key: bytes | None = None,
        headers: Headers | None = None,
        timestamp: Time | None = None,
    ) -> Receipt:
        """Append one record with a number of the caller's, unless it was appended before, even by a process that crashed then.

        `sequence` counts the records that this producer sends to the partition, from 0 on: such as the numbers of the rows of
        an outbox. The receipt of a record that was there is that of the first time. Raises `OutOfOrderSequenceError` if a
        number was left out, `DuplicateSequenceError` if the record was appended and the log no longer has it, and what `send`
        raises. To find one that is older than the last few, the log is read back to it."""
        check_number("sequence", sequence, 0, _SEQUENCE_MAX)
        time = as_timestamp(timestamp)
        sender = self._sender_to(topic, partition)
        try:
            return BatchReceipt(sender, sender.append_once(sequence, value, key, headers, time), 0, time)
        except OutOfOrderSequenceError:
            if sequence >= self.next_sequence(topic, partition):
                raise
        except DuplicateSequenceError:
            pass  # not as a batch of its own, perhaps: it may have lingered with others
        log = sender.log.log
        offset = log.offset_of_sequence(self._producer_id, _EPOCH, sequence)
        if offset is None:
            raise DuplicateSequenceError(
                f"{self!r} has sent record {sequence} to {sender.topic_partition} before, and the log no longer has it"
            )
        log.flush_if_always(offset + 1)
        return BatchReceipt(sender, Gathered(offset), 0, None)
