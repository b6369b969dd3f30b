"""What a partition has already: by which identities and positions a message that comes again is recognised.

All of it stands in the headers of the partition's records, so there is no state beside the log.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from eventlog.bridges.message import IDENTITY_HEADER, OFFSET_HEADER, SOURCE_HEADER, Message
from eventlog.errors import OffsetOutOfRangeError
from eventlog.records.record import Record

if TYPE_CHECKING:
    from eventlog import contract

WINDOW_RECORDS = 100_000
_FIRST_STEP_RECORDS = 1000
_STEP_FACTOR = 8


class Known:
    """The identities among the last 100,000 records of one partition, and the position that it has reached in each source.

    `end_offset` is the offset up to which the partition was read. Others may append to it meanwhile; `catch_up` reads that."""

    def __init__(self, partition: contract.Partition, window_records: int = WINDOW_RECORDS) -> None:
        self._partition = partition
        self._window_records = window_records
        self._identities: deque[tuple[int, bytes]] = deque()
        self._counts: dict[bytes, int] = {}
        self._claimed: set[bytes] = set()
        self._positions: dict[str, int] = {}
        self._first_read = self.end_offset = max(partition.start_offset, partition.end_offset - window_records)
        self.catch_up()

    # --- reading -------------------------------------------------------------------------------------------

    def catch_up(self) -> None:
        """Read what was appended since the last time, by anybody."""
        end = self._partition.end_offset
        if end <= self.end_offset:
            return
        try:
            records = self._partition.records(max(self.end_offset, self._partition.start_offset), end)
            for record in records:
                self._note(record.offset, record.headers)
        except OffsetOutOfRangeError:  # retention deletes records meanwhile: those that remain are read in the next turn
            return self.catch_up()
        self.end_offset = end
        self._forget_old()

    def _note(self, offset: int, headers: Iterable[tuple[str, bytes | None]]) -> None:
        source = position = None
        for name, value in headers:
            if not name.startswith("eventlog.") or value is None:
                continue
            if name == IDENTITY_HEADER:
                self._note_identity(offset, value)
            elif name == SOURCE_HEADER:
                source = value.decode("utf-8", "replace")
            elif name == OFFSET_HEADER:
                position = _number(value)
        if source is not None and position is not None:
            self._positions[source] = max(position + 1, self._positions.get(source, 0))

    def _note_identity(self, offset: int, identity: bytes) -> None:
        self._identities.append((offset, identity))
        self._counts[identity] = self._counts.get(identity, 0) + 1

    def _forget_old(self) -> None:
        oldest = self.end_offset - self._window_records
        while self._identities and self._identities[0][0] < oldest:
            _, identity = self._identities.popleft()
            count = self._counts[identity] - 1
            if count:
                self._counts[identity] = count
            else:
                del self._counts[identity]

    # --- recognising ---------------------------------------------------------------------------------------

    def reconnected(self) -> None:
        """The other system gives everything again that was not acknowledged."""
        self._claimed.clear()

    def has(self, message: Message) -> bool:
        """Does the partition have this message already?

        A message that is known by its content alone is taken for one that is there only if it was redelivered, and if that
        content is there once: of equal messages nobody can say which one came again, and losing one is worse."""
        if message.position is not None:
            source, offset = message.position
            reached = self.position(source)
            return reached is not None and offset < reached
        identity = message.identity
        if identity is None:
            return False
        if message.is_unique:
            return identity in self._counts
        if message.is_redelivered and self._counts.get(identity) == 1 and identity not in self._claimed:
            self._claimed.add(identity)
            return True
        return False

    def appended(self, offsets: range, messages: Sequence[Message]) -> None:
        """This process has appended these messages at these offsets, which begin at the end offset so far. Those of a source
        that has positions are in their order."""
        for offset, message in zip(offsets, messages, strict=True):
            if message.position is not None:
                source, position = message.position
                self._positions[source] = position + 1
            elif message.identity is not None:
                self._note_identity(offset, message.identity)
        self.end_offset = offsets.stop
        self._forget_old()

    def position(self, source: str) -> int | None:
        """The offset behind the last message of this source that the partition has; None if it has none."""
        found = self._positions.get(source)
        if found is None and self._first_read > self._partition.start_offset:
            found = self._search(source)
            if found is not None:
                self._positions[source] = found
        return found

    def _search(self, source: str) -> int | None:
        """Read back from where the window begins, in growing steps."""
        stop, step = self._first_read, _FIRST_STEP_RECORDS
        while stop > self._partition.start_offset:
            start = max(self._partition.start_offset, stop - step)
            found = max((_position_in(record, source) for record in self._partition.records(start, stop)), default=0)
            if found:
                return found
            stop, step = start, step * _STEP_FACTOR
        self._first_read = stop
        return None


def _position_in(record: Record, source: str) -> int:
    """The position behind this record in the source; 0 if it is not from there."""
    headers = dict(record.headers)
    if headers.get(SOURCE_HEADER) != source.encode():
        return 0
    number = _number(headers.get(OFFSET_HEADER) or b"")
    return 0 if number is None else number + 1


def _number(text: bytes) -> int | None:
    return int(text) if text.isdigit() and len(text) < 20 else None
