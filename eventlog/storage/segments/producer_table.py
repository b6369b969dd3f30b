"""The producers of a partition as its log shows them: each one's last batches and its open transaction.

Built from the newest snapshot and the batches after it. Source of the format of a snapshot: Kafka's ProducerStateManager
(version 1): i16 version, u32 CRC32C of everything after it, i32 count, and an entry for each producer, which has only its last
batch.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any, NamedTuple

from eventlog._native import ffi, lib
from eventlog.records.checksum import checksum_of
from eventlog.storage.segments.batches import Block

_VERSION = 1
_NOTHING = -1  # no batch, no transaction, no coordinator
_ABORTED_MAX = 1024
_head = struct.Struct(">hIi")
_entry = struct.Struct(">qhiqiqiq")
_CRC_END = 6


class ProducerState(NamedTuple):
    """What a partition knows of a producer: its epoch, the last sequence number and offset (-1: none is known), when it
    appended last (ms since the epoch), the epoch of the coordinator that ended its last transaction (-1: none), and the first
    offset of its open transaction (None: none is open)."""

    producer_id: int
    epoch: int
    last_sequence: int
    last_offset: int
    last_timestamp: int
    coordinator_epoch: int
    transaction_start: int | None


class Aborted(NamedTuple):
    """An aborted transaction: its producer, its first offset, and the offset of the marker that ended it.

    `stable_offset` is the last stable offset once the marker had been appended."""

    producer_id: int
    first_offset: int
    last_offset: int
    stable_offset: int


class ProducerTable:
    """A table in memory; `native` is the `el_producers`, which contains everything before its end offset."""

    def __init__(self, capacity: int = lib.EL_PRODUCERS_CAPACITY_MIN, end_offset: int = 0) -> None:
        self._take(capacity)
        lib.el_producers_begin(self.native, capacity, end_offset)

    def _take(self, capacity: int) -> None:
        self._memory = ffi.new("int64_t[]", lib.el_producers_bytes(capacity) // 8)
        self.native: Any = ffi.cast("el_producers *", self._memory)

    @property
    def size_bytes(self) -> int:
        """The size of a file that has room for the table."""
        return int(lib.el_producers_bytes(self.native.capacity))

    @property
    def has_room(self) -> bool:
        """Can another producer be added?"""
        return bool(lib.el_producers_has_room(self.native))

    @property
    def first_open(self) -> int:
        """The first offset of the earliest open transaction, -1: none is open."""
        return int(lib.el_producers_first_open(self.native, self.native.capacity))

    def grow(self, expired_before: int = 0) -> None:
        """Make room for more producers. Those that have appended nothing since `expired_before` are forgotten; if the table is
        as large as it may be, a quarter of the others as well, those that have been idle for the longest time."""
        former, memory = self.native, self._memory
        capacity = int(former.capacity)
        if capacity >= lib.EL_PRODUCERS_CAPACITY_MAX:
            idle = sorted(each.last_timestamp for each in self.producers() if each.transaction_start is None)
            expired_before = max(expired_before, idle[len(idle) // 4] + 1 if idle else 0)
        else:
            capacity *= 2
        self._take(capacity)
        lib.el_producers_begin(self.native, capacity, 0)
        lib.el_producers_copy(self.native, former, expired_before)
        del memory

    def producers(self) -> Iterator[ProducerState]:
        """The producers, in no particular order."""
        for slot in range(self.native.capacity):
            producer = lib.el_producers_slot(self.native, slot)
            if producer.id < 0:
                continue
            last = producer.batches[producer.batch_count - 1] if producer.batch_count else None
            yield ProducerState(
                producer.id, producer.epoch, _NOTHING if last is None else last.last_sequence,
                _NOTHING if last is None else last.last_offset, producer.last_ms, producer.coordinator_epoch,
                None if producer.transaction_start < 0 else producer.transaction_start,
            )  # fmt: skip

    def replay(self, block: Block, written_ms: int) -> list[Aborted]:
        """Add the whole, checked batches of a block, which were written by then; returns the transactions that they abort."""
        found = ffi.new("el_aborted_entry[]", _ABORTED_MAX)
        count, consumed = ffi.new("size_t *"), ffi.new("size_t *")
        aborted: list[Aborted] = []
        status = lib.EL_CODEC_OK
        while status in (lib.EL_CODEC_OK, lib.EL_CODEC_NO_ROOM) and block.consumed < block.length:
            at, rest = block.native + block.consumed, block.length - block.consumed
            status = lib.el_producers_replay(self.native, at, rest, written_ms, found, _ABORTED_MAX, count, consumed)
            block.consumed += consumed[0]
            for each in found[0 : count[0]]:
                aborted.append(Aborted(each.producer_id, each.first_offset, each.last_offset, each.stable_offset))
            if status == lib.EL_CODEC_NO_ROOM:
                self.grow()
        block.next_offset = max(block.next_offset, int(self.native.end_offset))
        return aborted

    # --- snapshots ---------------------------------------------------------------------------------------

    def to_bytes(self) -> bytes:
        """The contents of a snapshot file."""
        entries = []
        for slot in range(self.native.capacity):
            producer = lib.el_producers_slot(self.native, slot)
            if producer.id < 0:
                continue
            last_sequence = last_offset = _NOTHING
            offset_delta = 0
            if producer.batch_count:
                last = producer.batches[producer.batch_count - 1]
                last_sequence, last_offset, offset_delta = last.last_sequence, last.last_offset, last.offset_delta
            entries.append(_entry.pack(
                producer.id, producer.epoch, last_sequence, last_offset, offset_delta, producer.last_ms,
                producer.coordinator_epoch, producer.transaction_start,
            ))  # fmt: skip
        body = len(entries).to_bytes(4, "big") + b"".join(entries)
        return _head.pack(_VERSION, checksum_of(body), len(entries)) + body[4:]

    @classmethod
    def from_bytes(cls, data: bytes, end_offset: int) -> ProducerTable | None:
        """The table in a snapshot of the log before `end_offset`; None if the file is damaged or has another version."""
        if len(data) < _head.size:
            return None
        version, checksum, count = _head.unpack_from(data)
        is_whole = len(data) == _head.size + count * _entry.size and checksum_of(data[_CRC_END:]) == checksum
        if version != _VERSION or not is_whole:
            return None
        table = cls(end_offset=end_offset)
        for entry in _entry.iter_unpack(data[_head.size :]):
            if not table.has_room:
                table.grow()
            lib.el_producers_put(table.native, _producer_of(*entry))
        return table


def _producer_of(
    producer_id: int, epoch: int, last_sequence: int, last_offset: int, offset_delta: int, timestamp: int,
    coordinator_epoch: int, transaction_start: int,
) -> Any:  # fmt: skip
    producer = ffi.new("el_producer *")
    producer.id, producer.epoch, producer.last_ms = producer_id, epoch, timestamp
    producer.coordinator_epoch, producer.transaction_start = coordinator_epoch, transaction_start
    if last_sequence >= 0:
        producer.batch_count = 1
        batch = producer.batches[0]
        batch.last_sequence, batch.last_offset = last_sequence, last_offset
        batch.offset_delta, batch.timestamp = offset_delta, timestamp
    return producer
