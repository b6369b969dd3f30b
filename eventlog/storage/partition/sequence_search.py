"""Finding a batch in the log by its producer and sequence number, once the table of producers no longer has its offset."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

from eventlog._native import ffi, lib
from eventlog.storage.partition.segment_list import SegmentList
from eventlog.storage.segments.batches import Batch, headers_from

_SEQUENCES = 2**31  # the last one is followed by 0


def appended_before(segments: SegmentList, data: Any, size_bytes: int) -> Batch | None:
    """The batch in the log that has the same producer, epoch and sequence numbers as the native one; None if there is none."""
    sent = ffi.new("el_batch *")
    lib.el_batch_parse(data, size_bytes, sent)
    found = find_batch(segments, sent.producer_id, sent.producer_epoch, sent.base_sequence)
    is_same = (
        found is not None
        and found.base_sequence == sent.base_sequence
        and found.last_offset - found.base_offset == sent.last_offset_delta
    )
    return found if is_same else None


def find_batch(segments: SegmentList, producer_id: int, epoch: int, sequence: int) -> Batch | None:
    """The last batch in the log in which this epoch of a producer has this sequence number; None if there is none.

    Reads the headers of the batches, segment by segment, from the end to the log's start or an older batch of the producer."""
    while True:
        try:
            return _find(segments, producer_id, epoch, sequence)
        except FileNotFoundError:  # the segment was deleted or replaced meanwhile
            segments.check_topic()
            segments.list_again()


def _find(segments: SegmentList, producer_id: int, epoch: int, sequence: int) -> Batch | None:
    start_offset, end_offset = segments.bounds()
    following = [*segments.bases(), end_offset]
    for base, stop in reversed(list(pairwise(following))):
        if stop <= start_offset:
            break
        oldest = found = None
        for batch in _batches_of(segments.path_of(base), producer_id, end_offset):
            oldest = oldest or batch
            if batch.producer_epoch == epoch and _has(batch, sequence):
                found = batch
        if found is not None:
            return found if found.last_offset >= start_offset else None
        if oldest is not None and _is_older(oldest, epoch, sequence):
            break
    return None


def _batches_of(path: Path, producer_id: int, end_offset: int) -> Iterator[Batch]:
    with open(path, "rb", buffering=0) as file:
        for batch in headers_from(file.fileno(), 0):
            if batch.base_offset >= end_offset:
                return
            if batch.producer_id == producer_id and not batch.is_control:
                yield batch
            if batch.next_offset >= end_offset:
                return  # behind it an append may be in progress


def _has(batch: Batch, sequence: int) -> bool:
    return (sequence - batch.base_sequence) % _SEQUENCES <= batch.last_offset - batch.base_offset


def _is_older(batch: Batch, epoch: int, sequence: int) -> bool:
    return batch.producer_epoch < epoch or (sequence - batch.base_sequence) % _SEQUENCES < _SEQUENCES // 2
