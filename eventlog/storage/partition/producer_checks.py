"""Why a batch of a producer, or a marker, is not appended."""

from __future__ import annotations

from typing import Any

from eventlog._native import ffi, lib
from eventlog.errors import (
    CoordinatorFencedError,
    DuplicateSequenceError,
    InvalidBatchError,
    OutOfOrderSequenceError,
    ProducerFencedError,
    TransactionStateError,
)


def check_producer(status: int, data: Any, size_bytes: int, sequencing: Any) -> None:
    """Raise the error for a status of the native appender that depends on the producer of a batch, if it is one."""
    if status == lib.EL_UNIT_OF_PRODUCERS:
        raise InvalidBatchError(0, "a batch with a producer's id is appended alone, because it may be sent again alone")
    if status not in (lib.EL_PRODUCER_FENCED, lib.EL_OUT_OF_ORDER, lib.EL_DUPLICATE_SEQUENCE, lib.EL_IN_TRANSACTION):
        return
    batch = ffi.new("el_batch *")
    lib.el_batch_parse(data, size_bytes, batch)
    producer, sequence = f"producer {batch.producer_id}", batch.base_sequence
    if status == lib.EL_PRODUCER_FENCED:
        raise _fenced(producer, batch.producer_epoch, f"it is {sequencing.epoch}")
    if status == lib.EL_IN_TRANSACTION:
        raise TransactionStateError(
            f"{producer} has a transaction open here, and this batch does not belong to it; nothing was appended: end it first"
        )
    if status == lib.EL_DUPLICATE_SEQUENCE:
        raise DuplicateSequenceError(
            f"{producer} sends sequence number {sequence} again; it was appended, but the log no longer has that batch"
        )
    raise OutOfOrderSequenceError(
        f"{producer} sends sequence number {sequence}, and {sequencing.expected_sequence} comes next; nothing was appended"
    )


def check_marker(status: int, producer_id: int, epoch: int, coordinator_epoch: int) -> None:
    """Raise the error for a status that depends on the producer whose transaction is to be ended, if it is one."""
    if status == lib.EL_PRODUCER_FENCED:
        raise _fenced(f"producer {producer_id}", epoch, "a later one has begun")
    if status == lib.EL_COORDINATOR_FENCED:
        raise CoordinatorFencedError(
            f"a coordinator later than {coordinator_epoch} has ended a transaction of producer {producer_id}; nothing was "
            "appended: leave it to that one"
        )


def _fenced(producer: str, epoch: int, why: str) -> ProducerFencedError:
    return ProducerFencedError(f"epoch {epoch} of {producer} is over: {why}; nothing was appended: start a new producer")
