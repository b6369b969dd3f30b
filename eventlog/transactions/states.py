"""The rules of transactional producers: which step may follow which state, and in which epoch a producer goes on.

Nothing here reads or writes: each function makes a state, or refuses a step. Source of the states and epochs: Kafka's
TransactionMetadata.
"""

from __future__ import annotations

from typing import NamedTuple

from eventlog.catalog.transactions import (
    COMPLETE_ABORT,
    COMPLETE_COMMIT,
    EMPTY,
    NO_EPOCH,
    ONGOING,
    PREPARE_ABORT,
    PREPARE_COMMIT,
    PREPARED,
    Offsets,
    TransactionState,
)
from eventlog.clock import now_ms
from eventlog.errors import ProducerFencedError, TransactionStateError
from eventlog.records.record import TopicPartition

EPOCH_MAX = 2**15 - 2  # one is left for a marker that fences the last producer


class UnknownProducerError(ProducerFencedError):
    """A transactional id does not exist, or belongs to another producer id."""


class EndingError(TransactionStateError):
    """A transaction is being ended just now: what belongs to the next one has to wait."""


class Identity(NamedTuple):
    """What a producer says about itself with each step."""

    transactional_id: str
    producer_id: int
    epoch: int


def is_known(state: TransactionState, producer_id: int, epoch: int, partition: TopicPartition) -> bool:
    """Does a transaction that a producer has open in a partition belong to this entry?"""
    is_producer = (state.producer_id, state.epoch) == (producer_id, epoch) or (
        state.producer_id == producer_id and state.state == PREPARE_ABORT  # in the epoch that fences the producer
    )
    return is_producer and state.is_open and partition in state.partitions


def is_unused(state: TransactionState, now: int, unused_ms: int) -> bool:
    """Has its producer done nothing for so long, and stored nothing that it could ask for?"""
    return not state.is_open and state.position is None and now - state.updated_ms > unused_ms


def state_of(found: TransactionState | None, producer: Identity) -> TransactionState:
    """What the catalog has for a transactional id, if that is the state of this producer. Raises `ProducerFencedError`."""
    if found is None or found.producer_id != producer.producer_id:
        raise UnknownProducerError(
            f"transactional id {producer.transactional_id!r} does not belong to producer {producer.producer_id}"
        )
    if found.epoch != producer.epoch:
        raise fenced(producer.transactional_id)
    return found


def fenced(transactional_id: str) -> ProducerFencedError:
    """The error for a producer whose epoch is over."""
    return ProducerFencedError(
        f"the producer of transactional id {transactional_id!r} is fenced: another one uses this id now, or its transaction "
        "took longer than its timeout and was aborted; close it, and create another one to go on"
    )


def begun(found: TransactionState | None, producer: Identity) -> TransactionState:
    """The state in an open transaction, which begins now unless it has begun. Raises `ProducerFencedError`,
    `TransactionStateError`."""
    state = state_of(found, producer)
    if state.state in PREPARED:
        raise EndingError(f"a transaction of {producer.transactional_id!r} is being ended: try again")
    if state.state == ONGOING:
        return state
    now = now_ms()
    return state._replace(state=ONGOING, started_ms=now, updated_ms=now)


def left_to_do(state: TransactionState, commit: bool) -> TransactionState | None:
    """What is left to do of a transaction that is decided, None for nothing. Raises `TransactionStateError` if it was decided
    otherwise, or there is none."""
    if state.state == (PREPARE_COMMIT if commit else PREPARE_ABORT):
        return state
    if state.state == (COMPLETE_COMMIT if commit else COMPLETE_ABORT):
        return None
    raise TransactionStateError(
        f"{state.transactional_id!r} cannot {'commit' if commit else 'abort'} a transaction: its state is {state.state}"
    )


def with_own(state: TransactionState, offsets: Offsets, position: bytes | None) -> TransactionState:
    """The state with more offsets, and with a position unless that is None."""
    merged = {group: {**state.offsets.get(group, {}), **of_group} for group, of_group in offsets.items()}
    pending = position if position is not None else state.pending_position
    return state._replace(offsets={**state.offsets, **merged}, pending_position=pending)


def check_expected(state: TransactionState, expected: tuple[int, int] | None) -> None:
    """Raise `ProducerFencedError` if the producer that wants to go on is not the one that may."""
    if expected is not None and (
        state.producer_id != expected[0] or expected[1] not in (state.epoch, state.last_epoch) or expected[1] == NO_EPOCH
    ):
        raise ProducerFencedError(
            f"the producer of transactional id {state.transactional_id!r} is fenced: its epoch {expected[1]} is over"
        )


def renewed(
    state: TransactionState, timeout_ms: int, new_id: int, expected: tuple[int, int] | None, fencing_epoch: int | None
) -> TransactionState:
    """The state for a producer that begins. `fencing_epoch` is the one by which a transaction was aborted just now: it is new.
    Raises `ProducerFencedError`."""
    if fencing_epoch is None:
        check_expected(state, expected)
    empty = state._replace(state=EMPTY, timeout_ms=timeout_ms, owner=0, updated_ms=now_ms())
    if fencing_epoch == state.epoch <= EPOCH_MAX:
        return empty._replace(last_epoch=NO_EPOCH if expected is None else expected[1])
    if expected is not None and fencing_epoch is None and expected[1] == state.last_epoch and state.epoch <= EPOCH_MAX:
        return empty  # the answer to the same request was lost
    if state.epoch >= EPOCH_MAX:
        return empty._replace(producer_id=new_id, epoch=0, last_epoch=NO_EPOCH)
    last = state.epoch if expected is not None else NO_EPOCH
    return empty._replace(epoch=state.epoch + 1, last_epoch=last)
