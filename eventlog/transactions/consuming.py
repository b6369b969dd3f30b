"""What a transaction needs of a consumer."""

from __future__ import annotations

from typing import Protocol

from eventlog.catalog.transactions import PendingOffset
from eventlog.records.record import TopicPartition


class TransactionConsumer(Protocol):
    """A consumer whose positions can be committed with a transaction."""

    def offsets_for_transaction(self) -> tuple[str, dict[TopicPartition, PendingOffset]]:
        """The group, and the offsets that would be committed now. Raises `InvalidArgumentError`, `StaleMemberError`."""

    def rewind(self) -> None:
        """Go back to the committed offsets."""
