"""Old batches that a producer sends again after a restart: they are looked up in the log and answered with their offsets."""

from __future__ import annotations

from pathlib import Path

import pytest

import eventlog
from eventlog import DuplicateSequenceError, EventLog, OutOfOrderSequenceError
from eventlog.storage.partition.log import PartitionLog
from tests.support import made_batches, stores
from tests.support.made_batches import values

_LAST_SEQUENCE = 2**31 - 1


def _sent(sequence: int, count: int = 1, *, producer_id: int = 7, epoch: int = 0) -> bytes:
    return made_batches.batch(
        values(*[b"v" * 100] * count), producer_id=producer_id, producer_epoch=epoch, base_sequence=sequence
    )


def _partition(log: EventLog) -> PartitionLog:
    return log.partition("events", 0).log


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store whose segments hold about ten batches each."""
    with eventlog.open(tmp_path / "store") as log:
        log.create_topic("events", 1, {"segment.bytes": 2048})
    return tmp_path / "store"


def test_every_batch_is_answered_after_a_reopening(store: Path) -> None:
    with eventlog.open(store) as log:
        for number in range(60):  # two producers take turns
            _partition(log).append(_sent(2 * number, 2))
            _partition(log).append(_sent(number, producer_id=8))
        assert len(list(_partition(log).directory.glob("*.log"))) > 3
    with eventlog.open(store) as log:
        for number in reversed(range(60)):
            assert _partition(log).append(_sent(2 * number, 2)) == (3 * number, 3 * number + 2, None, True)
            assert _partition(log).append(_sent(number, producer_id=8)) == (3 * number + 2, 3 * number + 3, None, True)
        assert _partition(log).end_offset == 180
        assert _partition(log).append(_sent(120)).first_offset == 180


def test_the_last_five_are_answered_after_rolls_and_more_appends(store: Path) -> None:
    with eventlog.open(store) as log:
        for number in range(10):
            _partition(log).append(_sent(number))
            _partition(log).roll()
    with eventlog.open(store) as log:
        for number in range(10, 13):
            _partition(log).append(_sent(number))
            assert [_partition(log).append(_sent(each)).first_offset for each in range(number - 4, number + 1)] == list(
                range(number - 4, number + 1)
            )


def test_a_batch_of_other_size_is_not_taken_for_the_first_one(store: Path) -> None:
    with eventlog.open(store) as log:
        _partition(log).append(_sent(0, 3))
        _partition(log).append(_sent(3))
    with eventlog.open(store) as log:
        for wrong in (_sent(0, 2), _sent(1, 2)):
            with pytest.raises(DuplicateSequenceError, match="the log no longer has that batch"):
                _partition(log).append(wrong)
        assert _partition(log).append(_sent(0, 3)) == (0, 3, None, True)


def test_a_batch_that_was_deleted_is_refused(store: Path) -> None:
    with eventlog.open(store) as log:
        for number in range(30):
            _partition(log).append(_sent(number))
        log.partition("events", 0).delete_records(25)
    with eventlog.open(store) as log:
        with pytest.raises(DuplicateSequenceError):
            _partition(log).append(_sent(24))
        with pytest.raises(DuplicateSequenceError):
            _partition(log).append(_sent(3))
        assert _partition(log).append(_sent(25)).is_duplicate
        assert _partition(log).end_offset == 30


def test_only_batches_of_the_same_epoch_are_found(store: Path) -> None:
    with eventlog.open(store) as log:
        for number in range(5):
            _partition(log).append(_sent(number, epoch=0))
        for number in range(3):
            _partition(log).append(_sent(number, epoch=1))
    with eventlog.open(store) as log:
        assert [_partition(log).append(_sent(each, epoch=1)).first_offset for each in range(3)] == [5, 6, 7]
        with pytest.raises(OutOfOrderSequenceError):
            _partition(log).append(_sent(4, epoch=1))


def test_sequence_numbers_that_began_anew_are_found(store: Path) -> None:
    with eventlog.open(store) as log:
        _partition(log).append(_sent(_LAST_SEQUENCE - 4, 3))
        _partition(log).append(_sent(_LAST_SEQUENCE - 1, 3))
        _partition(log).append(_sent(1, 2))
    with eventlog.open(store) as log:
        assert _partition(log).append(_sent(_LAST_SEQUENCE - 1, 3)).first_offset == 3
        assert _partition(log).append(_sent(_LAST_SEQUENCE - 4, 3)).first_offset == 0
        assert _partition(log).offset_of_sequence(7, 0, 0) == 5
        assert _partition(log).offset_of_sequence(7, 0, 3) is None


def test_transaction_markers_are_passed_over(tmp_path: Path) -> None:
    stores.create(tmp_path / "store")
    batches = [
        made_batches.batch(values(b"v"), producer_id=7, producer_epoch=0, base_sequence=number, attributes=0x10)
        for number in range(3)
    ]
    with eventlog.open(tmp_path / "store") as log:
        for batch in batches:
            stores.open_partition(log).log.append(batch)
            stores.open_partition(log).log.append_marker(7, 0, 0, commit=True)
    with eventlog.open(tmp_path / "store") as log:
        assert [stores.open_partition(log).log.append(batch).first_offset for batch in batches] == [0, 2, 4]
