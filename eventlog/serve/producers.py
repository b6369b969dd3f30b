"""Idempotent producers: the last batches of each one in a partition, so that a batch that is sent again is not appended again.

The server remembers them while it runs; the log does not. A producer whose id is not known may continue with any sequence
number (KIP-360).
"""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import NamedTuple

from eventlog.serve import errors
from eventlog.serve.errors import RefusedError

NO_PRODUCER = -1
_BATCHES_REMEMBERED = 5  # as many as a client may have in-flight
_PRODUCERS_MAX = 10_000  # in a partition; the one that has been idle for the longest time is forgotten
_SEQUENCES = 2**31  # the last one is followed by 0


class Sent(NamedTuple):
    """What a batch says about its producer: it has `record_count` records, the first with this sequence number."""

    producer_id: int
    epoch: int
    sequence: int
    record_count: int

    @property
    def following(self) -> int:
        """The sequence number of the producer's next record."""
        return (self.sequence + self.record_count) % _SEQUENCES


class _Producer:
    def __init__(self, epoch: int) -> None:
        self.epoch = epoch
        self.appended: deque[tuple[Sent, int]] = deque(maxlen=_BATCHES_REMEMBERED)


class PartitionProducers:
    """The idempotent producers of a partition. For one thread at a time."""

    def __init__(self) -> None:
        self._producers: OrderedDict[int, _Producer] = OrderedDict()

    def find_appended(self, sent: Sent) -> int | None:
        """The offset at which the batch was appended before; None if it is the next one. Raises `RefusedError`."""
        producer = self._producers.get(sent.producer_id)
        if producer is None:
            return None
        if sent.epoch < producer.epoch:
            raise RefusedError(errors.INVALID_PRODUCER_EPOCH, f"epoch {sent.epoch} is over: it is {producer.epoch}")
        if sent.epoch > producer.epoch:
            expected = 0
        else:
            for before, offset in producer.appended:
                if before == sent:
                    return offset
            expected = producer.appended[-1][0].following
        if sent.sequence != expected:
            what = f"producer {sent.producer_id} sends sequence number {sent.sequence}, and {expected} comes next"
            raise RefusedError(errors.OUT_OF_ORDER_SEQUENCE_NUMBER, what)
        return None

    def remember(self, sent: Sent, offset: int) -> None:
        """Remember that the batch was appended at this offset."""
        producer = self._producers.get(sent.producer_id)
        if producer is None or producer.epoch != sent.epoch:
            producer = self._producers[sent.producer_id] = _Producer(sent.epoch)
        producer.appended.append((sent, offset))
        self._producers.move_to_end(sent.producer_id)
        if len(self._producers) > _PRODUCERS_MAX:
            self._producers.popitem(last=False)
