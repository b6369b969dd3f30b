"""Processes are killed in the middle of transactions: readers see each of them as a whole, and none holds them up."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

import eventlog
from eventlog import EventLog, ProducerFencedError, TopicPartition
from eventlog.clock import now_ms
from eventlog.transactions.states import EPOCH_MAX, Identity
from tests.support import transactions
from tests.support.processes import Worker

_DECIDED = ("marking", "second marker", "completing")
_INPUTS = 400
_MEMBERS = 3
_KILLS = 12


@pytest.fixture
def log(tmp_path: Path) -> Iterator[EventLog]:
    with eventlog.open(tmp_path / "store") as log:
        log.create_topic("events", 2)
        log.create_topic("inputs", 4)
        log.create_topic("outputs", 3)
        yield log


def visible(log: EventLog, topic: str) -> list[bytes]:
    """What a consumer sees that begins now."""
    with log.consumer(topic) as consumer:
        found: list[bytes] = []
        while records := consumer.poll(timeout=0):
            found += [record.value for record in records if record.value is not None]
        return found


@pytest.mark.parametrize("helper", ["attendant", "next producer"])
@pytest.mark.parametrize("commits", [True, False], ids=["commit", "abort"])
@pytest.mark.parametrize("step", ["open", "deciding", *_DECIDED])
def test_what_a_killed_process_leaves_is_completed(log: EventLog, step: str, commits: bool, helper: str) -> None:
    log.partition("inputs", 0).append(b"input")
    with Worker(transactions.stop_at, log.store.path, step, commits) as dying:
        assert dying.receive() == "there"
        if step in ("open", "deciding", "marking"):
            assert visible(log, "events") == []
        dying.kill()
    decided = [b"0", b"1", b"2", b"3"] if commits and step in _DECIDED else []
    if helper == "attendant":
        log.open_transactions.coordinator.attend(now_ms())
        assert sorted(visible(log, "events")) == decided
    with log.producer(transactional_id="dying") as producer, producer.transaction():
        for partition in (0, 1):
            producer.send("events", b"next", partition=partition)
    assert sorted(visible(log, "events")) == [*decided, b"next", b"next"]
    committed = log.group("g").committed() if log.groups() else {}
    assert committed == ({TopicPartition("inputs", 0): 1} if decided else {})
    log.partition("events", 0).append(b"after it")
    assert b"after it" in visible(log, "events")  # nobody is held up
    assert [each.is_open for each in log.transactions()] == [False]


@pytest.mark.parametrize("is_attended", [True, False])
@pytest.mark.parametrize("epoch", [5, EPOCH_MAX])
@pytest.mark.parametrize("step", ["marking", "completing", "renewing"])
def test_a_producer_goes_on_although_the_process_that_it_asked_was_killed(
    log: EventLog, step: str, epoch: int, is_attended: bool
) -> None:
    coordinator, partition = log.open_transactions.coordinator, TopicPartition("events", 0)
    producer_id = coordinator.init("t", 60_000).producer_id
    with log.store.catalog.transactions.change("t") as change:
        assert change.state is not None
        change.store(change.state._replace(epoch=epoch))
    coordinator.add_partitions(Identity("t", producer_id, epoch), [partition])
    with Worker(transactions.renew, log.store.path, step, producer_id, epoch) as dying:
        assert dying.receive() == "there"
        dying.kill()
    if is_attended:
        coordinator.attend(now_ms())
    with pytest.raises(ProducerFencedError):
        coordinator.add_partitions(Identity("t", producer_id, epoch), [partition])
    state = coordinator.init("t", 60_000, expected=(producer_id, epoch))
    if epoch < EPOCH_MAX:
        assert (state.producer_id, state.epoch) == (producer_id, epoch + 1)
    else:
        assert state.producer_id != producer_id and state.epoch == 0
    coordinator.add_partitions(Identity("t", state.producer_id, state.epoch), [partition])


def test_a_stopped_process_delays_those_that_complete_its_transaction_for_a_bounded_time(tmp_path: Path, log: EventLog) -> None:
    with Worker(transactions.stop_at, log.store.path, "marking", True) as stopped:
        assert stopped.receive() == "there"
        stopped.stop()
        with (
            eventlog.open(tmp_path / "store", lock_timeout_ms=50) as hurried,
            pytest.raises(eventlog.LockTimeoutError, match="ending a transaction"),
        ):
            hurried.producer(transactional_id="dying")
        stopped.kill()
        with log.producer(transactional_id="dying"):
            assert sorted(visible(log, "events")) == [b"0", b"1", b"2", b"3"]


def test_each_record_is_transformed_exactly_once_by_members_that_are_killed(log: EventLog) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    values = [b"%d" % number for number in range(_INPUTS)]
    for number, value in enumerate(values):
        log.partition("inputs", number % 4).append(value)
    store, kills = log.store.path, 0
    with ExitStack() as running:
        members = {f"t{number}": _started(running, store, f"t{number}") for number in range(_MEMBERS)}
        while len(visible(log, "outputs")) < _INPUTS:
            name = chance.choice(sorted(members))
            if members[name].connection.poll(0.05):
                members[name].receive()
            if kills < _KILLS and chance.random() < 0.2:
                kills += 1
                members[name].kill()
                members[name] = _started(running, store, name)
        for member in members.values():
            member.send("end")
        for member in members.values():
            member.join()
    assert Counter(visible(log, "outputs")) == Counter(values)
    assert set(log.group("transformers").lag().values()) == {0}


def _started(running: ExitStack, store: Path, name: str) -> Worker:
    return running.enter_context(Worker(transactions.transform, store, name))
