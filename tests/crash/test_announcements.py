"""A process dies between a change of the catalog and telling others: whoever sleeps until there is one is told all the same."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import lmdb
import pytest

import eventlog
from eventlog import EventLog, TopicPartition
from eventlog.store.announcer import Announcer
from tests.support import stores
from tests.support.kill_steps import kill_at_every_step
from tests.support.stores import TOPIC

LATER = "later"
PLACE = TopicPartition(TOPIC, 0)
SECONDS_MAX = 60.0


class Sleeper(NamedTuple):
    """A thread that waits for something, in a process that has the store open; what it was told comes into `answers`."""

    log: EventLog
    thread: threading.Thread
    answers: list[Any]


@contextmanager
def asleep(log: EventLog, call: Callable[[], Any]) -> Iterator[Sleeper]:
    answers: list[Any] = []
    thread = threading.Thread(target=lambda: answers.append(call()), daemon=True)
    thread.start()
    yield Sleeper(log, thread, answers)


@contextmanager
def waiting_for_a_topic(store: Path) -> Iterator[Sleeper]:
    """A consumer has subscribed to a topic that does not exist, and knows that."""
    stores.create(store)
    with eventlog.open(store) as log, log.consumer(LATER) as consumer:
        assert consumer.poll(0) == []
        with asleep(log, lambda: [record.value for record in consumer.poll(SECONDS_MAX)]) as sleeper:
            yield sleeper


def create_topic(log: EventLog) -> None:
    log.create_topic(LATER)


def the_consumer_reads_the_topic(sleeper: Sleeper) -> None:
    sleeper.log.partition(LATER, 0).append(b"first")
    sleeper.thread.join()
    assert sleeper.answers == [[b"first"]]


@contextmanager
def waiting_for_a_group(store: Path) -> Iterator[Sleeper]:
    """Somebody waits until a group that does not exist has acknowledged a record."""
    stores.create(store)
    with eventlog.open(store) as log:
        receipt = log.producer().send(TOPIC, b"first")
        with asleep(log, lambda: receipt.wait_acked(LATER)) as sleeper:
            yield sleeper


def create_group(log: EventLog) -> None:
    log.create_group(LATER)


def the_record_is_acknowledged(sleeper: Sleeper) -> None:
    with sleeper.log.consumer(group=LATER) as consumer:
        consumer.assign([PLACE])
        consumer.commit({PLACE: 1})
        sleeper.thread.join(SECONDS_MAX)
    assert sleeper.answers == [True]


@pytest.mark.parametrize(
    ("prepare", "operate", "check"),
    [
        (waiting_for_a_topic, create_topic, the_consumer_reads_the_topic),
        pytest.param(waiting_for_a_group, create_group, the_record_is_acknowledged, marks=pytest.mark.slow),
    ],
    ids=["a topic", "a group"],
)
def test_who_waits_for_a_change_is_told_though_the_process_that_made_it_died_before(
    tmp_path: Path, prepare: Any, operate: Any, check: Any
) -> None:
    died = kill_at_every_step(tmp_path, ("catalog.",), prepare, operate, check)
    assert died == {"catalog.changed", "catalog.counted", "catalog.rung"}


def test_what_was_announced_is_not_announced_again(store: Path) -> None:
    with eventlog.open(store) as log, log.consumer(TOPIC, group="readers") as consumer:
        log.create_topic("another")
        log.delete_topic("another")
        log.create_group("another").delete()
        log.partition(TOPIC, 0).append(b"first")
        assert len(consumer.poll(SECONDS_MAX)) == 1
        version = log.store.signals.catalog_version
        Announcer(log.store.catalog, log.store.signals).announce_missed()
        assert log.store.signals.catalog_version == version
        consumer.commit(sync=True)
        Announcer(log.store.catalog, log.store.signals).announce_missed()
        assert log.store.signals.catalog_version == version, "of a committed offset nobody is told so"


def test_a_catalog_of_an_earlier_version_has_no_note_of_its_last_change(store: Path) -> None:
    with lmdb.open(str(store / "meta"), max_dbs=8) as environment, environment.begin(write=True) as transaction:
        transaction.drop(environment.open_db(b"changes", txn=transaction, create=False))
    assert not [finding for finding in eventlog.diagnose(store) if finding.severity == "error"]
    with eventlog.open(store) as log:
        assert log.topics() == [TOPIC]
        log.create_topic("another")
        version = log.store.signals.catalog_version
        Announcer(log.store.catalog, log.store.signals).announce_missed()
        assert log.store.signals.catalog_version == version
