"""The types of which native code makes instances while a producer sends."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from eventlog._native import lib
from eventlog.records.batch import Headers

if TYPE_CHECKING:
    from eventlog.producer.lane import Lane


def _made_by(make: Callable[[int], bool]) -> list[Any]:
    made: list[Any] = []
    if not make(id(made)):
        raise MemoryError("memory ran out while eventlog was imported")
    return made


if TYPE_CHECKING:

    class Place:
        """Where an appended record is."""

        _lane: Lane
        _offset: int
        _timestamp: int

    class Gathered:
        """Records that wait: a list that has nothing but None is None. Native code adds to them only while `is_open`."""

        values: list[bytes | None]
        keys: list[bytes | None] | None
        headers: list[Headers | None] | None
        timestamps: list[int | None] | None
        first_offset: int | None
        loss: Exception | None
        count: int
        size_bytes: int
        bytes_max: int
        record_bytes_max: int
        is_open: bool
        needs_keys: bool
        sets_timestamps: bool

        def add(
            self, value: bytes | None, key: bytes | None, headers: Headers | None, timestamp: int | None, size: int, /
        ) -> int:
            """Add a record that was looked at, and return its place; `size` is in bytes."""

        def settle(self, first_offset: int | None, /) -> None:
            """Forget the records: they are in the log, or never will be."""

    class WaitingPlace:
        """Where a record stands in a batch."""

        _lane: Lane
        _batch: Gathered
        _place: int
        _timestamp: int | None

else:
    [Place] = _made_by(lib.el_new_place_type)
    [Gathered, WaitingPlace] = _made_by(lib.el_new_gathering_types)
