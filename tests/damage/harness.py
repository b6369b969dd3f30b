"""One harness for all damage: fill a store, damage one file, and see what an opener makes of it.

What has to hold whatever the damage is: no record is ever wrong, nothing that was on disk is lost silently, every failure
is one of our errors, and the other partition does not notice.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import eventlog
from eventlog import CorruptLogError, EventLogError, Partition, Record
from tests.support import heads, stores

PARTITIONS = 2
RECORDS = 400
_GARBAGE = random.Random(20260103).randbytes(1 << 16)


class Damage(NamedTuple):
    """A way to damage the bytes of a file; None: the file is gone."""

    name: str
    apply: Callable[[bytes], bytes | None]


def _flip(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 0x10]) + data[place + 1 :]


def _zero(data: bytes, start: int, stop: int) -> bytes:
    return data[:start] + bytes(stop - start) + data[stop:]


def _swap_halves_of_the_middle(data: bytes) -> bytes:
    quarter = len(data) // 4
    return data[:quarter] + data[2 * quarter : 3 * quarter] + data[quarter : 2 * quarter] + data[3 * quarter :]


DAMAGES = [
    Damage("a bit flipped at the start", lambda data: _flip(data, 0)),
    Damage("a bit flipped in the middle", lambda data: _flip(data, len(data) // 2)),
    Damage("a bit flipped at the end", lambda data: _flip(data, len(data) - 1)),
    Damage("a block of zeros in the middle", lambda data: _zero(data, len(data) // 3, 2 * len(data) // 3)),
    Damage("zeros from the middle on", lambda data: _zero(data, len(data) // 2, len(data))),
    Damage("all zeros", lambda data: bytes(len(data))),
    Damage("all garbage", lambda data: _GARBAGE[: len(data)]),
    Damage("garbage behind the end", lambda data: data + _GARBAGE[:5000]),
    Damage("zeros behind the end", lambda data: data + bytes(5000)),
    Damage("cut in the middle", lambda data: data[: len(data) // 2]),
    Damage("cut by a byte", lambda data: data[:-1]),
    Damage("cut to nothing", lambda data: b""),
    Damage("two parts swapped", _swap_halves_of_the_middle),
    Damage("the end doubled", lambda data: data + data[-(len(data) // 3) :]),
    Damage("gone", lambda data: None),
]


class Store:
    """A filled and closed store, and what it held."""

    def __init__(self, path: Path) -> None:
        self.path = path
        stores.create(path, partitions=PARTITIONS, segment_bytes=4096, index_interval_bytes=256)
        with eventlog.open(path) as log:
            for number in range(PARTITIONS):
                partition = stores.open_partition(log, number)
                for place in range(0, RECORDS, 4):
                    values = [b"%d/%d " % (number, place + step) * 10 for step in range(4)]
                    partition.append_many(values, timestamps=[1000 + place + step for step in range(4)])
            self.records = [stores.everything(stores.open_partition(log, number)) for number in range(PARTITIONS)]

    def files(self) -> dict[str, Path]:
        """The files that can be damaged, by what they are."""
        logs = stores.segments(self.path)
        assert len(logs) > 3
        earlier, last = logs[1], logs[-1]
        return {
            "earlier log": earlier,
            "last log": last,
            "earlier index": earlier.with_suffix(".index"),
            "last index": last.with_suffix(".index"),
            "earlier time index": earlier.with_suffix(".timeindex"),
            "last time index": last.with_suffix(".timeindex"),
            "leader epochs": stores.partition_directory(self.path) / "leader-epoch-checkpoint",
        }

    def reboot(self) -> None:
        for number in range(PARTITIONS):
            heads.simulate_reboot(stores.head_file(self.path, number))

    def copy(self, path: Path) -> Store:
        """A store of the same content, closed cleanly: its heads are of this boot, and know what was on disk."""
        shutil.copytree(self.path, path)
        with eventlog.open(path) as log:
            for number in range(PARTITIONS):
                stores.open_partition(log, number).flush()  # the copied head is that of another file, and made anew
        copied = object.__new__(Store)
        copied.path, copied.records = path, self.records
        return copied


def damage_file(path: Path, damage: Damage) -> bool:
    """Apply the damage in place; False if it changes nothing."""
    before = path.read_bytes()
    after = damage.apply(before) if before else None
    if after == before:
        return False
    if after is None:
        path.unlink()
    else:
        path.write_bytes(after)
    return True


def check_reading(partition: Partition, expected: list[Record]) -> set[str]:
    """Read everything in every way. Return the files that errors named."""
    blamed: set[str] = set()
    for offset in range(partition.start_offset, min(partition.end_offset, len(expected))):
        try:
            one = partition.read(offset, 1)
            assert one == [expected[offset]], (offset, one, expected[offset])
        except CorruptLogError as error:
            blamed.add(Path(error.path).name)
    found = []
    try:
        for record in partition.records():
            found.append(record)
    except CorruptLogError as error:
        blamed.add(Path(error.path).name)
    start = partition.start_offset
    assert found[: len(expected) - start] == expected[start : start + len(found)]
    for timestamp in (0, 1000, 1037, 1180, 1399):
        right = next(record.offset for record in expected if record.timestamp >= timestamp)
        try:
            offset = partition.offset_for_time(timestamp)
        except CorruptLogError as error:
            blamed.add(Path(error.path).name)
        else:
            assert offset == right or partition.start_offset > 0 or partition.recovery.damage is not None
    return blamed


def check_appending(partition: Partition) -> bool:
    """Append, and read what was appended; False if the partition refuses, which has to be for its damage."""
    try:
        offset = partition.append(b"after the damage")
    except EventLogError:
        return False
    assert partition.read(offset)[0].value == b"after the damage"
    return True


def check_other_partition(log: eventlog.EventLog, store: Store) -> None:
    """The other partition did not notice."""
    other = stores.open_partition(log, 1)
    assert stores.everything(other) == store.records[1]
    assert check_appending(other)
