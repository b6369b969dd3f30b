"""The methods that a program can override to react when partitions come and go."""

from __future__ import annotations

from collections.abc import Sequence

from eventlog.records.record import TopicPartition


class RebalanceListener:
    """Override what you need, and pass an instance to `EventLog.consumer`. The methods are called from inside `poll`, iteration
    and `close`, in the thread that called these; they may use the consumer."""

    def assigned(self, partitions: Sequence[TopicPartition]) -> None:
        """This consumer owns these partitions from now on."""

    def revoked(self, partitions: Sequence[TopicPartition]) -> None:
        """These partitions go to another member after this call: the last chance to commit for them."""

    def lost(self, partitions: Sequence[TopicPartition]) -> None:
        """These partitions were already taken away, because the group was reset or this member was expelled: a commit for them
        raises `StaleMemberError`."""
