"""The log as anybody would write it first: a list of records. Slow, obvious, and what the real one is compared with."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from eventlog import Record
from tests.support import stores


class Event(NamedTuple):
    """What is appended. A timestamp of None means the time of the append, which only the log knows."""

    value: bytes | None
    key: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]
    timestamp: int | None


class ModelLog:
    """A partition of the topic `events` as a list; the place in the list is the offset."""

    def __init__(self) -> None:
        self._records: list[Record] = []

    @property
    def end_offset(self) -> int:
        return len(self._records)

    def append(self, events: Iterable[Event], timestamps: Iterable[int]) -> range:
        """Add events, with the timestamps that they got in the end."""
        start = len(self._records)
        for event, timestamp in zip(events, timestamps, strict=True):
            offset = len(self._records)
            self._records.append(Record(stores.TOPIC, 0, offset, timestamp, event.key, event.value, event.headers))
        return range(start, len(self._records))

    def read(self, offset: int, max_records: int) -> list[Record]:
        return self._records[offset : offset + max_records]

    def records(self, start: int | None, stop: int | None) -> list[Record]:
        return [
            record
            for record in self._records
            if (start is None or record.offset >= start) and (stop is None or record.offset < stop)
        ]

    def offset_for_time(self, timestamp: int) -> int | None:
        for record in self._records:
            if record.timestamp >= timestamp:
                return record.offset
        return None
