"""What a partition knows of producers: batches that are sent again, sequence numbers, epochs, open transactions, markers."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest

import eventlog
from eventlog import (
    CoordinatorFencedError,
    DuplicateSequenceError,
    EventLog,
    InvalidBatchError,
    OutOfOrderSequenceError,
    ProducerFencedError,
    TransactionStateError,
)
from eventlog.storage.partition.log import PartitionLog
from tests.support import heads, made_batches, stores
from tests.support.kafka_format import parse_batches
from tests.support.made_batches import values
from tests.support.processes import Interpreter

TRANSACTIONAL = 0x10
LAST_SEQUENCE = 2**31 - 1


def sent(
    sequence: int, count: int = 1, *, producer_id: int = 7, epoch: int = 0, transactional: bool = False, value: bytes = b"v"
) -> bytes:
    return made_batches.batch(
        values(*[value] * count),
        producer_id=producer_id,
        producer_epoch=epoch,
        base_sequence=sequence,
        attributes=TRANSACTIONAL if transactional else 0,
    )


@pytest.fixture
def partition(log: EventLog) -> PartitionLog:
    return stores.open_partition(log).log


def test_a_batch_that_is_sent_again_gets_the_offsets_of_the_first_time(partition: PartitionLog) -> None:
    for number in range(7):
        assert partition.append(sent(2 * number, 2))[:2] == (2 * number, 2 * number + 2)
    for number in range(2, 7):
        assert partition.append(sent(2 * number, 2)) == (2 * number, 2 * number + 2, None, True)
    with pytest.raises(OutOfOrderSequenceError, match="sequence number 2, and 14 comes next"):
        partition.append(sent(2, 2))
    assert partition.end_offset == 14


def test_a_batch_before_which_one_is_missing_is_refused(partition: PartitionLog) -> None:
    partition.append(sent(0))
    with pytest.raises(OutOfOrderSequenceError, match="sequence number 2, and 1 comes next; nothing was appended"):
        partition.append(sent(2))
    assert partition.append(sent(1)).first_offset == 1


def test_a_producer_that_is_not_known_begins_with_any_sequence_number(partition: PartitionLog) -> None:
    assert partition.append(sent(1234, epoch=5)).first_offset == 0
    assert partition.append(sent(1235, epoch=5)).first_offset == 1


def test_behind_the_last_sequence_number_comes_the_first(partition: PartitionLog) -> None:
    partition.append(sent(LAST_SEQUENCE - 1, 3))
    assert partition.append(sent(LAST_SEQUENCE - 1, 3)).is_duplicate
    with pytest.raises(OutOfOrderSequenceError):
        partition.append(sent(2))
    assert partition.append(sent(1)).first_offset == 3


def test_a_new_epoch_begins_at_zero_and_ends_the_one_before(partition: PartitionLog) -> None:
    partition.append(sent(41))
    with pytest.raises(OutOfOrderSequenceError):
        partition.append(sent(42, epoch=1))
    partition.append(sent(0, epoch=1))
    with pytest.raises(ProducerFencedError, match="epoch 0 of producer 7 is over: it is 1"):
        partition.append(sent(42))


def test_a_batch_of_a_producer_is_appended_alone(partition: PartitionLog) -> None:
    with pytest.raises(InvalidBatchError, match="appended alone"):
        partition.append(sent(0) + sent(1))
    assert partition.end_offset == 0


def test_many_producers_are_known(partition: PartitionLog) -> None:
    for producer_id in range(200):
        partition.append(sent(0, producer_id=producer_id))
    assert [state.producer_id for state in partition.producers()] == list(range(200))
    assert all(partition.append(sent(0, producer_id=each)).first_offset == each for each in range(200))
    assert partition.end_offset == 200


def test_partitions_without_producers_have_no_files_for_them(store: Path, log: EventLog, partition: PartitionLog) -> None:
    stores.open_partition(log).append(b"plain")
    partition.append(made_batches.batch(values(b"also plain")))
    assert partition.producers() == []
    assert not list((store / "shared").glob("*.producers"))


@pytest.mark.parametrize("how", ["closed", "rebooted", "without snapshots"])
def test_what_is_known_of_producers_outlives_the_process(store: Path, how: str) -> None:
    with eventlog.open(store) as log:
        partition = stores.open_partition(log).log
        partition.append(sent(5, 2))
        partition.append(sent(0, producer_id=8, epoch=2, transactional=True))
        before = partition.producers()
    if how != "closed":
        heads.simulate_reboot(stores.head_file(store))
    if how == "without snapshots":
        for path in stores.partition_directory(store).glob("*.snapshot"):
            path.unlink()
    with eventlog.open(store) as log:
        partition = stores.open_partition(log).log
        assert [each._replace(last_timestamp=0) for each in partition.producers()] == [
            each._replace(last_timestamp=0) for each in before
        ]
        assert partition.stable_offset == 2
        assert partition.append(sent(5, 2)) == (0, 2, None, True)
        with pytest.raises(OutOfOrderSequenceError):
            partition.append(sent(8))
        with pytest.raises(DuplicateSequenceError):
            partition.append(sent(4))
        with pytest.raises(ProducerFencedError):
            partition.append(sent(1, producer_id=8, epoch=1, transactional=True))
        assert partition.append(sent(7)).first_offset == 3


def test_processes_know_the_same_producers(store: Path, partition: PartitionLog) -> None:
    partition.append(sent(0))
    with Interpreter(_append_again, store) as other:
        assert other.receive() == [(0, True), (1, False)]
    assert partition.append(sent(1)).is_duplicate


def _append_again(connection: object, store: Path) -> None:
    with eventlog.open(store) as log:
        partition = stores.open_partition(log).log
        found = [partition.append(sent(sequence)) for sequence in (0, 1)]
        connection.send([(each.first_offset, each.is_duplicate) for each in found])  # type: ignore[attr-defined]


def test_the_last_stable_offset_is_where_the_earliest_open_transaction_begins(partition: PartitionLog) -> None:
    assert partition.stable_offset == partition.end_offset == 0
    partition.append(made_batches.batch(values(b"plain")))
    assert partition.stable_offset == partition.end_offset == 1
    partition.append(sent(0, transactional=True))
    partition.append(sent(0, producer_id=8, transactional=True))
    partition.append(sent(1, transactional=True))
    assert (partition.stable_offset, partition.end_offset) == (1, 4)
    assert partition.append_marker(7, 0, 0, commit=True) == 4
    assert partition.stable_offset == 2
    assert partition.append_marker(8, 0, 0, commit=False) == 5
    assert partition.stable_offset == partition.end_offset == 6
    assert partition.aborted(0, 6) == [(8, 2, 5, 6)]
    assert partition.aborted(6, 9) == partition.aborted(0, 2) == []


def test_a_marker_is_applied_once(partition: PartitionLog) -> None:
    assert partition.append_marker(7, 0, 0, commit=True) is None
    partition.append(sent(0, transactional=True))
    assert partition.append_marker(7, 0, 3, commit=True) == 1
    assert partition.append_marker(7, 0, 3, commit=True) is None
    partition.append(sent(1, transactional=True))
    with pytest.raises(CoordinatorFencedError):
        partition.append_marker(7, 0, 2, commit=True)
    assert partition.append_marker(7, 0, 3, commit=True) == 3


def test_a_marker_of_a_later_epoch_fences_the_producer(partition: PartitionLog) -> None:
    partition.append(sent(0, transactional=True))
    assert partition.append_marker(7, 1, 0, commit=False) == 1
    with pytest.raises(ProducerFencedError):
        partition.append(sent(1, transactional=True))
    partition.append(sent(0, epoch=1, transactional=True))
    with pytest.raises(ProducerFencedError):
        partition.append_marker(7, 0, 0, commit=True)


@pytest.mark.parametrize("how", ["open", "rebooted"])
def test_an_abort_in_a_later_epoch_fences_a_producer_that_has_not_begun_here(store: Path, how: str) -> None:
    with eventlog.open(store) as log:
        partition = stores.open_partition(log).log
        partition.append(sent(0, producer_id=8, transactional=True))
        assert partition.append_marker(7, 1, 0, commit=False) == 1
        assert partition.append_marker(7, 1, 0, commit=False) is None
        assert (partition.stable_offset, partition.end_offset) == (0, 2)
        if how == "open":
            _expect_fenced(partition)
    if how == "rebooted":
        heads.simulate_reboot(stores.head_file(store))
        for snapshot in stores.partition_directory(store).glob("*.snapshot"):
            snapshot.unlink()
        with eventlog.open(store) as log:
            _expect_fenced(stores.open_partition(log).log)


def _expect_fenced(partition: PartitionLog) -> None:
    with pytest.raises(ProducerFencedError):
        partition.append(sent(0, transactional=True))
    assert partition.append(sent(0, epoch=1, transactional=True)).first_offset == 2
    assert partition.aborted(0, 3) == []


def test_a_batch_outside_of_the_open_transaction_is_refused(partition: PartitionLog) -> None:
    partition.append(sent(0, transactional=True))
    with pytest.raises(TransactionStateError):
        partition.append(sent(1))


def test_a_marker_is_as_kafka_writes_it(store: Path) -> None:
    with eventlog.open(store) as log:
        partition = stores.open_partition(log).log
        partition.append(sent(0, epoch=4, transactional=True))
        partition.append_marker(7, 4, 9, commit=True)
    data = stores.segments(store)[-1].read_bytes()
    marker = parse_batches(data)[-1]
    assert (marker.attributes, marker.base_offset) == (TRANSACTIONAL | 0x20, 1)
    assert struct.unpack(">qhi", data[-len(data) :][43:57]) == (7, 4, -1)  # the segment has no other batch
    assert [(record.key, record.value) for record in marker.records] == [(b"\0\0\0\1", b"\0\0\0\0\0\x09")]


def test_the_index_of_aborted_transactions_is_kafkas(store: Path) -> None:
    with eventlog.open(store) as log:
        partition = stores.open_partition(log).log
        partition.append(sent(0, transactional=True))
        partition.append_marker(7, 0, 0, commit=False)
    (index,) = stores.partition_directory(store).glob("*.txnindex")
    wanted = (0).to_bytes(2, "big") + b"".join(number.to_bytes(8, "big") for number in (7, 0, 1, 2))
    assert index.read_bytes() == wanted
    index.write_bytes(b"not an index")
    heads.simulate_reboot(stores.head_file(store))
    with eventlog.open(store) as log:
        assert stores.open_partition(log).log.aborted(0, 9) == [(7, 0, 1, 2)]
    assert index.read_bytes() == wanted


def test_transactions_go_on_in_the_next_segment(store: Path) -> None:
    with eventlog.open(store) as log:
        partition = stores.open_partition(log).log
        partition.append(sent(0, transactional=True))
        partition.roll()
        assert partition.stable_offset == 0
        partition.append(sent(1, transactional=True))
        partition.roll()
        partition.append_marker(7, 0, 0, commit=False)
        partition.roll()
        assert (partition.stable_offset, partition.end_offset) == (3, 3)
        assert partition.aborted(0, 1) == partition.aborted(1, 2) == [(7, 0, 2, 3)]
        assert [len(partition.aborted(offset, offset + 1)) for offset in range(5)] == [1, 1, 1, 0, 0]
    assert sorted(name for name in os.listdir(stores.partition_directory(store)) if name.endswith(".snapshot")) == [
        f"{offset:020}.snapshot" for offset in (1, 2, 3)
    ]


def test_a_wait_for_a_record_is_not_ended_by_a_marker(log: EventLog, partition: PartitionLog) -> None:
    partition.append(sent(0, transactional=True))
    partition.append_marker(7, 0, 0, commit=True)
    assert not stores.open_partition(log).wait(1, timeout=0)
    assert stores.open_partition(log).wait(0, timeout=0)
    partition.append(sent(1))
    assert stores.open_partition(log).wait(1, timeout=0)


def test_compaction_keeps_the_last_batch_of_a_producer(store: Path) -> None:
    with eventlog.open(store) as log:
        log.create_topic("compacted", 1, {"cleanup.policy": "compact", "segment.ms": 2**62})
        partition = log.partition("compacted", 0)
        partition.log.append(sent(0, 2, value=b"superseded"))
        partition.log.append(sent(2, value=b"superseded, too"))
        partition.append(b"latest", key=b"key")
        partition.log.roll()
        log.maintain(compact_all=True)
        assert list(partition.values()) == [b"latest"]
    for path in partition.directory.glob("*.snapshot"):
        path.unlink()
    heads.simulate_reboot(stores.head_file(store, 0, "compacted"))
    with eventlog.open(store) as log:
        again = log.partition("compacted", 0)
        (state,) = again.log.producers()
        assert (state.last_sequence, state.last_offset) == (2, 2)
        assert again.log.append(sent(2)).is_duplicate
        assert again.log.append(sent(3)).first_offset == 4
        assert [report.problems for report in log.verify()] == [[]]


def test_zeros_in_the_index_of_aborted_transactions_are_no_transaction(store: Path) -> None:
    with eventlog.open(store) as log:
        partition = stores.open_partition(log).log
        partition.append(sent(0, transactional=True))
        partition.append_marker(7, 0, 0, commit=False)
        partition.roll()
        partition.append(sent(1))
    segment = stores.segments(store)[-1]
    segment.with_suffix(".txnindex").write_bytes(bytes(34))  # a power cut took what was written, and left the size
    heads.simulate_reboot(stores.head_file(store))
    with eventlog.open(store) as log:
        assert stores.open_partition(log).log.aborted(0, 9) == [(7, 0, 1, 2)]


def test_the_last_stable_offset_is_never_before_the_start(log: EventLog, partition: PartitionLog) -> None:
    partition.append(sent(0, 2, transactional=True))
    stores.open_partition(log).delete_records(1)
    assert partition.stable_offset == partition.start_offset == 1


def test_a_restored_backup_knows_the_same_producers_and_transactions(store: Path, log: EventLog, tmp_path: Path) -> None:
    partition = stores.open_partition(log).log
    partition.append(sent(0, transactional=True))
    partition.append_marker(7, 0, 0, commit=False)
    partition.append(sent(1, transactional=True))
    log.backup(tmp_path / "backup")
    eventlog.restore(tmp_path / "backup", tmp_path / "restored")
    with eventlog.open(tmp_path / "restored") as restored:
        copy = stores.open_partition(restored).log
        assert (copy.stable_offset, copy.aborted(0, 9)) == (2, partition.aborted(0, 9))
        assert copy.append(sent(1, transactional=True)).is_duplicate
        assert copy.append_marker(7, 0, 0, commit=True) == 3
