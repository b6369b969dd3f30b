"""Idempotent producers: a batch that is sent again is appended once, and one that is missing is noticed."""

from __future__ import annotations

from pathlib import Path

import eventlog
from eventlog import Partition
from eventlog.serve import errors
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


def test_a_batch_is_known_again_by_another_server_and_by_an_embedded_writer(store: Path) -> None:
    sent = [batch([b"a"], producer=(7, 0, number)) for number in range(3)]
    for number in range(3):
        with eventlog.open(store) as log, running_server(log) as server, RawClient(server.address) as client:
            assert client.produce("events", sent[number]).base_offset == number
            assert client.produce("events", sent[number]).base_offset == number
    with eventlog.open(store) as log:
        assert log.partition("events", 0).log.append(sent[2]).is_duplicate
        assert log.partition("events", 0).end_offset == 3


def test_old_batches_that_are_sent_again_after_a_restart_are_answered_with_their_offsets(store: Path) -> None:
    sent = [batch([b"a", b"b"], producer=(7, 0, 2 * number)) for number in range(12)]
    with eventlog.open(store) as log, running_server(log) as server, RawClient(server.address) as client:
        for number in range(12):
            assert client.produce("events", sent[number]).base_offset == 2 * number
            log.partition("events", 0).log.roll()
    with eventlog.open(store) as log, running_server(log) as server, RawClient(server.address) as client:
        for number in range(12):
            answer = client.produce("events", sent[number])
            assert (answer.error_code, answer.base_offset) == (errors.NONE, 2 * number)
        log.partition("events", 0).delete_records(10)
        assert client.produce("events", sent[4]).error_code == errors.DUPLICATE_SEQUENCE_NUMBER
        assert client.produce("events", batch([b"a"], producer=(7, 0, 24))).base_offset == 24


def test_a_producer_whose_epoch_is_over_is_refused(client: RawClient, partition: Partition) -> None:
    client.produce("events", batch([b"a"], producer=(7, 1, 0)))
    answer = client.produce("events", batch([b"b"], producer=(7, 0, 0)))
    assert answer.error_code == errors.INVALID_PRODUCER_EPOCH
    assert partition.end_offset == 1
