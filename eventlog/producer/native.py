"""The types of which native code makes instances while a producer sends."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from eventlog._native import lib
from eventlog.errors import EventLogError
from eventlog.records.batch import Headers

Append = Callable[[bytes | None, bytes | None, Headers | None, int | None], int]

if TYPE_CHECKING:
    from eventlog.producer.partition_sender import PartitionSender


def _made_by(make: Callable[[int], bool]) -> list[Any]:
    made: list[Any] = []
    if not make(id(made)):
        raise MemoryError("memory ran out while eventlog was imported")
    return made


if TYPE_CHECKING:

    class Place:
        """Where an appended record is."""

        _lane: PartitionSender
        _offset: int
        _timestamp: int

    class Gathered:
        """Records that wait: a list that has nothing but None is None. Native code adds to them only while `is_open`."""

        values: list[bytes | None]
        keys: list[bytes | None] | None
        headers: list[Headers | None] | None
        timestamps: list[int | None] | None
        address: int
        is_stamped: bool
        loss: EventLogError | None
        halves: tuple[int, Gathered, Gathered] | None
        count: int
        size_bytes: int
        bytes_max: int
        record_bytes_max: int
        is_open: bool
        needs_keys: bool

        def __new__(cls, first_offset: int = -1, /) -> Gathered:
            """A batch; with an offset, one that is in the log."""

        @property
        def first_offset(self) -> int | None:
            """Known as soon as the records are in the log. Then `is_stamped` says whether they have the time of the append,
            whatever time they were given."""

        def add(
            self, value: bytes | None, key: bytes | None, headers: Headers | None, timestamp: int | None, size: int, /
        ) -> int:
            """Add a record that was looked at, and return its place; `size` is in bytes."""

        def append(self, append: Append, /) -> bool:
            """Append the records, without waiting for the disk, to the partition that has this built-in function; False if that
            is for Python to do."""

        def split(self) -> None:
            """Have two halves in the place of these records. `halves` says then how many the first one has, and both."""

        def forget(self) -> None:
            """Forget the records: they are in the log, or never will be."""

    class WaitingPlace:
        """Where a record stands in a batch."""

        _lane: PartitionSender
        _batch: Gathered
        _place: int
        _timestamp: int | None
        _is_read: bool

else:
    [Place] = _made_by(lib.el_new_place_type)
    [Gathered, WaitingPlace] = _made_by(lib.el_new_gathering_types)
