"""Reading only what is committed: which records a reader passes over, because their transactions were aborted."""

from __future__ import annotations

from typing import Any, Protocol

from eventlog._native import lib
from eventlog.storage.segments.aborted_index import AbortedList
from eventlog.storage.segments.names import OFFSET_MAX
from eventlog.storage.segments.producer_table import Aborted


class _Log(Protocol):
    @property
    def head(self) -> Any: ...

    def aborted(self, from_offset: int, to_offset: int) -> list[Aborted]: ...


class AbortedRecords:
    """Keeps the list of a reader up to date. The reader must stop at the last stable offset."""

    def __init__(self, log: _Log) -> None:
        self._log = log
        self._count = 0
        self._first_offset = 0
        self._list: AbortedList | None = None

    def tell(self, reader: Any, offset: int) -> None:
        """Let the native `el_reader` know of all transactions that were aborted at `offset` or later."""
        count = int(lib.el_head_aborts(self._log.head))
        if count == self._count and offset >= self._first_offset:
            return
        self._list = AbortedList([each[:3] for each in self._log.aborted(offset, OFFSET_MAX)])
        reader.aborted = self._list.native[0]
        self._count, self._first_offset = count, offset
