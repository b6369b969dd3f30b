"""Logs with transactions that a broker's producers have written: readers, waiting, lag and compaction."""

from __future__ import annotations

from pathlib import Path

import pytest

import eventlog
from eventlog import EventLog, TopicPartition
from tests.cli.command_line import CommandLine
from tests.support import stores
from tests.support.broker_log import TRANSACTIONAL, batch, marker, put, sent
from tests.support.kafka_format import crc32c

PLACE = TopicPartition(stores.TOPIC, 0)
TABLE = {"cleanup.policy": "compact", "min.cleanable.dirty.ratio": 0}


@pytest.fixture
def store(tmp_path: Path) -> Path:
    path = tmp_path / "store"
    stores.create(path, **{name.replace(".", "_"): value for name, value in TABLE.items()})
    return path


def pairs(log: EventLog) -> list[tuple[int, bytes | None, bytes | None]]:
    return [(record.offset, record.key, record.value) for record in stores.open_partition(log).records()]


def test_what_was_aborted_supersedes_nothing_and_goes(store: Path) -> None:
    put(store, {
        0: [sent(0, 7, (b"account", b"committed 100"), (b"other", b"x")), marker(2, 7, is_commit=True)],
        3: [sent(3, 7, (b"account", b"ABORTED 999"), (b"other", None)), marker(5, 7, is_commit=False)],
        6: [batch(6, [(b"filler", b"1")])],
    })  # fmt: skip
    with eventlog.open(store) as log:
        done = log.maintain().partitions[0].compacted
        assert done is not None and (done.records_before, done.end_offset) == (6, 6)
        assert pairs(log) == [(0, b"account", b"committed 100"), (1, b"other", b"x"), (6, b"filler", b"1")]
        assert log.verify()[0].problems == []


def test_transactions_of_several_producers_are_told_apart_batch_by_batch(store: Path) -> None:
    put(store, {
        0: [sent(0, 7, (b"a", b"of 7")), sent(1, 8, (b"a", b"of 8, aborted")), sent(2, 7, (b"b", b"of 7"))],
        3: [batch(3, [(b"c", b"of nobody")], producer_id=8), marker(4, 8, is_commit=False), sent(5, 8, (b"b", b"of 8"))],
        6: [marker(6, 7, is_commit=True), marker(7, 8, is_commit=True), sent(8, 7, (b"c", b"aborted"))],
        9: [marker(9, 7, is_commit=False), batch(10, [(b"d", b"1")])],
        11: [batch(11, [(b"d", b"2")])],
    })  # fmt: skip
    with eventlog.open(store) as log:
        log.maintain()
        assert pairs(log) == [
            (0, b"a", b"of 7"), (3, b"c", b"of nobody"), (5, b"b", b"of 8"), (10, b"d", b"1"), (11, b"d", b"2"),
        ]  # fmt: skip


def test_a_transaction_that_has_not_ended_is_not_compacted_and_nothing_behind_it(store: Path) -> None:
    put(store, {
        0: [batch(0, [(b"a", b"1"), (b"a", b"2")])],
        2: [sent(2, 7, (b"a", b"not decided"))],
        3: [batch(3, [(b"b", b"1"), (b"b", b"2")])],
        5: [batch(5, [(b"b", b"3")])],
    })  # fmt: skip
    with eventlog.open(store) as log:
        planned = log.maintain(compact_all=True, dry_run=True).partitions[0]
        done = log.maintain(compact_all=True).partitions[0]
        assert done.compacted is not None and done.compacted.end_offset == 2
        assert planned.open_transaction == done.open_transaction == (7, 2)
        [again] = log.maintain(compact_all=True).partitions
        assert again.open_transaction == (7, 2)
        assert [offset for offset, _, _ in pairs(log)] == [1, 2, 3, 4, 5]


def test_a_round_of_housekeeping_says_which_transaction_keeps_everything_from_being_compacted(store: Path) -> None:
    put(store, {
        0: [sent(0, 7, (b"a", b"not decided"), (b"a", b"either"))],
        2: [batch(2, [(b"b", b"1"), (b"b", b"2")])],
        4: [batch(4, [(b"b", b"3")])],
    })  # fmt: skip
    said = CommandLine(store).run("maintain").stdout.decode()
    assert "nothing from offset 0 on is compacted, because a transaction of producer 7 that began there has not ended" in said
    with eventlog.open(store) as log:
        assert [offset for offset, _, _ in pairs(log)] == [0, 1, 2, 3, 4]


def test_markers_stay_for_those_who_go_by_them(store: Path) -> None:
    end = marker(1, 7, is_commit=False)
    directory = put(store, {0: [sent(0, 7, (b"a", b"aborted")), end], 2: [batch(2, [(b"b", b"1")])]})
    with eventlog.open(store) as log:
        log.maintain()
    assert (directory / f"{0:020d}.log").read_bytes() == end


def test_a_compressed_batch_that_was_aborted_goes_too(store: Path) -> None:
    with eventlog.open(store) as log:
        log.create_topic("source")
        log.partition("source", 0).append_many([b"aborted" * 99], keys=[b"a"], compression="gzip")
    source = stores.segments(store, topic="source")[0].read_bytes()
    put(store, {
        0: [batch(0, [(b"a", b"1")])],
        1: [in_transaction(source, 1, 7), marker(2, 7, is_commit=False)],
        3: [batch(3, [(b"b", b"1")])],
    })  # fmt: skip
    with eventlog.open(store) as log:
        log.maintain()
        assert pairs(log) == [(0, b"a", b"1"), (3, b"b", b"1")]


def in_transaction(data: bytes, base_offset: int, producer_id: int) -> bytes:
    """A batch as a transaction's producer would have sent it."""
    changed = bytearray(data)
    changed[0:8] = base_offset.to_bytes(8, "big")
    changed[22] |= TRANSACTIONAL
    changed[43:51] = producer_id.to_bytes(8, "big")
    changed[17:21] = crc32c(bytes(changed[21:])).to_bytes(4, "big")
    return bytes(changed)
