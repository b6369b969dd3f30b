"""A consumer group for tasks."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping

from eventlog.catalog.history import HistoryEntry, OffsetChange
from eventlog.groups.group import Group, GroupDescription
from eventlog.groups.progress import Progress
from eventlog.records.record import TopicPartition


class AsyncGroup:
    """`eventlog.Group` for tasks. Created by `AsyncEventLog.group`."""

    def __init__(self, group: Group) -> None:
        self._group = group
        self.name = group.name

    def __repr__(self) -> str:
        return f"<AsyncGroup {self.name}>"

    async def committed(self) -> dict[TopicPartition, int]:
        """As `Group.committed`."""
        return await asyncio.to_thread(self._group.committed)

    async def lag(self) -> dict[TopicPartition, int | None]:
        """As `Group.lag`."""
        return await asyncio.to_thread(self._group.lag)

    async def progress(self) -> dict[TopicPartition, Progress]:
        """As `Group.progress`."""
        return await asyncio.to_thread(self._group.progress)

    async def history(self, limit: int | None = None) -> list[HistoryEntry]:
        """As `Group.history`."""
        return await asyncio.to_thread(self._group.history, limit)

    async def describe(self) -> GroupDescription:
        """As `Group.describe`."""
        return await asyncio.to_thread(self._group.describe)

    async def plan_reset(self, offsets: Mapping[TopicPartition, int]) -> list[OffsetChange]:
        """As `Group.plan_reset`."""
        return await asyncio.to_thread(self._group.plan_reset, offsets)

    async def reset(self, offsets: Mapping[TopicPartition, int]) -> None:
        """As `Group.reset`. It is completed even if the task is cancelled meanwhile."""
        await asyncio.to_thread(self._group.reset, offsets)

    async def plan_undo(self) -> dict[TopicPartition, int | None]:
        """As `Group.plan_undo`."""
        return await asyncio.to_thread(self._group.plan_undo)

    async def undo_reset(self) -> dict[TopicPartition, int | None]:
        """As `Group.undo_reset`. It is completed even if the task is cancelled meanwhile."""
        return await asyncio.to_thread(self._group.undo_reset)

    async def delete_offsets(self, partitions: Iterable[TopicPartition]) -> None:
        """As `Group.delete_offsets`."""
        await asyncio.to_thread(self._group.delete_offsets, partitions)

    async def delete(self) -> None:
        """As `Group.delete`."""
        await asyncio.to_thread(self._group.delete)
