"""Idempotent producers: a batch that is sent again is appended once, and one that is missing is noticed."""

from __future__ import annotations

from pathlib import Path

import pytest

import eventlog
from eventlog import Partition
from eventlog.serve import errors
from eventlog.serve.errors import RefusedError
from eventlog.serve.producers import PartitionProducers, Sent
from tests.serve.batches import batch
from tests.serve.client import RawClient
from tests.serve.conftest import RunningServer, running_server
from tests.support import workers
from tests.support.processes import Interpreter


def test_a_batch_that_is_sent_again_is_answered_and_not_appended(server: RunningServer, partition: Partition) -> None:
    with RawClient(server.address) as client, RawClient(server.address) as again:
        identifier = client.ask("InitProducerId", 4, transactional_id=None).producer_id
        for number in range(3):
            sent = batch([b"a", b"b"], producer=(identifier, 0, 2 * number))
            assert client.produce("events", sent).base_offset == 2 * number
        for number in range(3):
            sent = batch([b"a", b"b"], producer=(identifier, 0, 2 * number))
            answer = again.produce("events", sent)
            assert (answer.error_code, answer.base_offset) == (errors.NONE, 2 * number)
    assert partition.end_offset == 6


def test_a_batch_before_which_one_is_missing_is_refused(client: RawClient, partition: Partition) -> None:
    identifier = client.ask("InitProducerId", 4, transactional_id=None).producer_id
    client.produce("events", batch([b"a"], producer=(identifier, 0, 0)))
    answer = client.produce("events", batch([b"c"], producer=(identifier, 0, 2)))
    assert answer.error_code == errors.OUT_OF_ORDER_SEQUENCE_NUMBER
    assert client.produce("events", batch([b"b"], producer=(identifier, 0, 1))).error_code == errors.NONE
    assert partition.end_offset == 2


def test_a_batch_of_which_the_flush_fails_is_appended_once_however_often_it_is_sent(store: Path) -> None:
    sent = batch([b"a"], producer=(7, 0, 0))
    with eventlog.open(store, fsync="always", lock_timeout_ms=50) as log:
        log.partition("events", 0).append(b"first")  # its segment is open
        with running_server(log) as server, RawClient(server.address) as client:
            with Interpreter(workers.hold_mutex, store, "flush") as holder:
                assert holder.receive() == "held"
                for _ in range(2):
                    assert client.produce("events", sent).error_code == errors.REQUEST_TIMED_OUT
                holder.send("give it back")
                assert holder.receive() == "given back"
                holder.send("end")
            answer = client.produce("events", sent)
            assert (answer.error_code, answer.base_offset) == (errors.NONE, 1)
        assert log.partition("events", 0).durable_offset == log.partition("events", 0).end_offset == 2


def test_each_producer_gets_an_id_of_its_own(client: RawClient) -> None:
    identifiers = {client.ask("InitProducerId", version, transactional_id=None).producer_id for version in range(6)}
    assert len(identifiers) == 6
    assert min(identifiers) >= 0


def test_a_transactional_producer_is_told_that_there_are_no_transactions(client: RawClient) -> None:
    answer = client.ask("InitProducerId", 4, transactional_id="t", transaction_timeout_ms=1000)
    assert (answer.error_code, answer.producer_id) == (errors.UNSUPPORTED_VERSION, -1)


def sent(sequence: int, count: int = 1, *, epoch: int = 0) -> Sent:
    return Sent(7, epoch, sequence, count)


def test_a_producer_that_is_not_known_goes_on_with_any_number() -> None:
    producers = PartitionProducers()
    assert producers.find_appended(sent(1234)) is None


def test_behind_the_last_sequence_number_comes_the_first() -> None:
    producers = PartitionProducers()
    producers.remember(sent(2**31 - 2, 2), 10)
    assert producers.find_appended(sent(0)) is None
    with pytest.raises(RefusedError):
        producers.find_appended(sent(1))


def test_the_last_five_batches_are_known_again() -> None:
    producers = PartitionProducers()
    for number in range(7):
        producers.remember(sent(number), 10 + number)
    assert [producers.find_appended(sent(number)) for number in range(2, 7)] == [12, 13, 14, 15, 16]
    with pytest.raises(RefusedError) as refused:
        producers.find_appended(sent(1))
    assert refused.value.code == errors.OUT_OF_ORDER_SEQUENCE_NUMBER


def test_a_new_epoch_begins_at_zero_and_ends_the_old_one() -> None:
    producers = PartitionProducers()
    producers.remember(sent(41), 10)
    with pytest.raises(RefusedError):
        producers.find_appended(sent(42, epoch=1))
    assert producers.find_appended(sent(0, epoch=1)) is None
    producers.remember(sent(0, epoch=1), 11)
    with pytest.raises(RefusedError) as refused:
        producers.find_appended(sent(42))
    assert refused.value.code == errors.INVALID_PRODUCER_EPOCH
