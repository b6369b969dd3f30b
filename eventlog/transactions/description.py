"""Transactional producers as users see them."""

from __future__ import annotations

from typing import NamedTuple

from eventlog.catalog.transactions import TransactionState
from eventlog.records.record import TopicPartition


class TransactionDescription(NamedTuple):
    """A transactional producer, and its transaction.

    `state` is Kafka's: "Empty", "Ongoing", "PrepareCommit", "PrepareAbort", "CompleteCommit" or "CompleteAbort"; in the second
    to fourth a transaction is open. It began at `started_ms` (None: none is open), with records in `partitions`, and offsets
    of `groups`. Times are in ms since the epoch."""

    transactional_id: str
    state: str
    producer_id: int
    epoch: int
    timeout_ms: int
    started_ms: int | None
    updated_ms: int
    partitions: tuple[TopicPartition, ...]
    groups: tuple[str, ...]

    @property
    def is_open(self) -> bool:
        """Is there a transaction that has not ended completely?"""
        return self.started_ms is not None


def described(state: TransactionState) -> TransactionDescription:
    """The description of an entry of the catalog."""
    return TransactionDescription(
        state.transactional_id,
        state.state,
        state.producer_id,
        state.epoch,
        state.timeout_ms,
        (state.started_ms or state.updated_ms) if state.is_open else None,
        state.updated_ms,
        tuple(sorted(state.partitions)),
        tuple(sorted({*state.groups, *state.offsets})),
    )
