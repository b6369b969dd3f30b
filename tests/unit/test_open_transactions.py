"""Transactions that are open: who sees them, and what ends them when their producer does not."""

from __future__ import annotations

from pathlib import Path

import eventlog
from eventlog import EventLog, TopicPartition
from eventlog.clock import now_ms
from eventlog.transactions.states import Identity
from tests.serve.batches import batch

_WEEK_MS = 7 * 24 * 3600 * 1000


def _long_ago(log: EventLog, transactional_id: str, age_ms: int) -> None:
    """Let the producer have done nothing since then."""
    with log.store.catalog.transactions.change(transactional_id) as change:
        assert change.state is not None
        started_ms = now_ms() - age_ms if change.state.is_open else 0
        change.store(change.state._replace(started_ms=started_ms, updated_ms=now_ms() - age_ms))


def _begin(log: EventLog, transactional_id: str) -> None:
    """Leave a transaction open, as of a remote producer that says nothing any more."""
    coordinator = log.open_transactions.coordinator
    state = coordinator.init(transactional_id, 60_000)
    coordinator.add_partitions(
        Identity(transactional_id, state.producer_id, state.epoch), [TopicPartition("events", 0)]
    )


def test_metrics_count_them(log: EventLog) -> None:
    assert log.metrics()["eventlog_open_transactions"].samples[0].value == 0
    _begin(log, "t")
    _long_ago(log, "t", 30_000)
    metrics = log.metrics()
    assert metrics["eventlog_open_transactions"].samples[0].value == 1
    assert 30 <= metrics["eventlog_oldest_open_transaction_seconds"].samples[0].value < 3600


def test_the_doctor_names_those_that_nobody_ends(store: Path, log: EventLog) -> None:
    _begin(log, "in time")
    _begin(log, "too late")
    assert not [each for each in eventlog.diagnose(store) if each.subject.startswith("transaction")]
    _long_ago(log, "too late", 600_000)
    (found,) = [each for each in eventlog.diagnose(store) if each.subject.startswith("transaction")]
    assert (found.severity, found.subject) == ("warning", "transaction too late")
    assert found.command == "eventlog transactions abort 'too late' --execute"


def test_housekeeping_ends_them_and_forgets_producers_of_long_ago(log: EventLog) -> None:
    for name in ("late", "unused", "with a position"):
        _begin(log, name)
    for name in ("unused", "with a position"):
        log.abort_transaction(name)
        _long_ago(log, name, _WEEK_MS + 1000)
    with log.store.catalog.transactions.change("with a position") as change:
        assert change.state is not None
        change.store(change.state._replace(position=b"row 7"))
    _long_ago(log, "late", 600_000)
    assert log.maintain().failures == []
    assert {each.transactional_id: each.state for each in log.transactions()} == {
        "late": "CompleteAbort",
        "with a position": "CompleteAbort",
    }


def test_what_no_producer_of_this_store_has_begun_is_aborted(log: EventLog) -> None:
    """Such as what came with a partition of a broker."""
    partition = log.partition("events", 0)
    partition.log.append(batch([b"hanging"], producer=(7, 0, 0), attributes=16))
    coordinator = log.open_transactions.coordinator
    assert coordinator.abort_hanging(partition.log, idle_ms=3_600_000) == []
    assert coordinator.abort_hanging(partition.log) == [7]
    assert partition.log.stable_offset == partition.end_offset == 2
    with log.consumer("events") as consumer:
        assert consumer.poll(timeout=0) == []
