"""Transactions written by a broker's producers: which were aborted, and the offset up to which all have ended."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from eventlog._native import ffi, lib
from eventlog.storage.cleaning.retention import Segment
from eventlog.storage.segments.batches import walk

_STEPS = 4096


class OpenTransaction(NamedTuple):
    """A transaction that has not ended: the id of its producer, and the offset of its first record."""

    producer_id: int
    offset: int


class Transactions(NamedTuple):
    """The transactions in some segments. `aborted` has the producer, first offset and marker's offset of each aborted one;
    `first_open` is the earliest one that has not ended."""

    aborted: Sequence[tuple[int, int, int]]
    first_open: OpenTransaction | None

    @property
    def stable_offset(self) -> int:
        """Every transaction that began before this offset has ended."""
        return sys.maxsize if self.first_open is None else self.first_open.offset


def find_transactions(segments: Sequence[Segment]) -> Transactions:
    """The transactions in these segments. Raises `CorruptLogError`."""
    aborted, began = [], dict[int, int]()
    for segment in segments:
        for producer_id, offset, kind in _steps(segment):
            if kind == lib.EL_TRANSACTION_DATA:
                began.setdefault(producer_id, offset)
                continue
            first_offset = began.pop(producer_id, None)  # None: compaction removed all of its records
            if first_offset is not None and kind == lib.EL_TRANSACTION_ABORT:
                aborted.append((producer_id, first_offset, offset))
    first_open = min((OpenTransaction(*item) for item in began.items()), key=lambda each: each.offset, default=None)
    return Transactions(aborted, first_open)


def _steps(segment: Segment) -> Iterator[tuple[int, int, int]]:
    """Producer, base offset and kind of each batch of a transaction."""
    steps, count, consumed = ffi.new("el_transaction_step[]", _STEPS), ffi.new("size_t *"), ffi.new("size_t *")
    for block in walk(segment.path, 0, segment.size_bytes, segment.base_offset):
        status = lib.EL_CODEC_OK
        while status == lib.EL_CODEC_OK and block.consumed < block.length:
            at = block.consumed
            status = lib.el_transaction_steps(block.native + at, block.length - at, steps, _STEPS, count, consumed)
            block.consumed += consumed[0]
            yield from ((step.producer_id, step.offset, step.kind) for step in steps[0 : count[0]])
