"""What the server needs of an open store. An `EventLog` has it, but the server does not import the class: a store can serve
itself."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from eventlog.catalog.topics import TopicDescription
from eventlog.groups.registry import Groups
from eventlog.storage.partition.partition import Partition
from eventlog.store.store import Store
from eventlog.transactions.transactions import Transactions


class ServedLog(Protocol):
    """An open store with its groups and transactions. The methods are those of `EventLog`."""

    path: Path
    store: Store
    open_groups: Groups
    open_transactions: Transactions

    def topic(self, name: str) -> TopicDescription:
        """As `EventLog.topic`."""

    def partition(self, topic: str, partition: int) -> Partition:
        """As `EventLog.partition`."""

    def create_topic(self, name: str, partitions: int = 1, config: Mapping[str, object] | None = None) -> TopicDescription:
        """As `EventLog.create_topic`."""

    def alter_topic(
        self, name: str, *, partitions: int | None = None, config: Mapping[str, object] | None = None
    ) -> TopicDescription:
        """As `EventLog.alter_topic`."""

    def delete_topic(self, name: str) -> None:
        """As `EventLog.delete_topic`."""
