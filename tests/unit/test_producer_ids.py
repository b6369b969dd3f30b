"""Each producer gets an id that no other producer has, or has ever had."""

from __future__ import annotations

from multiprocessing.connection import Connection
from pathlib import Path

import lmdb

import eventlog
from eventlog import EventLog
from eventlog.catalog.environment import CatalogEnvironment, FrozenCatalog
from eventlog.catalog.producer_ids import ProducerIdCatalog
from eventlog.catalog.topics import TopicCatalog
from tests.support.processes import Interpreter

_MANY = 1001  # one more than a process takes at once


def _ids(log: EventLog, count: int) -> list[int]:
    return [log.open_transactions.producer_ids.new() for _ in range(count)]


def take_ids(connection: Connection, store: Path) -> None:
    """Report some new ids of another process."""
    with eventlog.open(store) as log:
        connection.send(_ids(log, 10))


def test_ids_differ_also_in_two_handles_and_after_both_were_closed(store: Path) -> None:
    with eventlog.open(store) as log, eventlog.open(store) as other:
        found = [*_ids(log, _MANY), *_ids(other, _MANY), *_ids(log, _MANY)]
    with eventlog.open(store) as log:
        found += _ids(log, 1)
    assert len(set(found)) == len(found)
    assert min(found) >= 0


def test_ids_differ_between_processes(store: Path, log: EventLog) -> None:
    own = _ids(log, 5)
    with Interpreter(take_ids, store) as other:
        assert not {*own} & {*other.receive()}


def test_a_restored_store_gives_out_none_that_were_given_out_after_the_backup(log: EventLog, tmp_path: Path) -> None:
    before = _ids(log, 5)
    log.backup(tmp_path / "backup")
    after = _ids(log, 3 * _MANY)
    restored = []
    for name in ("one", "another"):
        eventlog.restore(tmp_path / "backup", tmp_path / name)
        with eventlog.open(tmp_path / name) as again:
            restored.append(set(_ids(again, _MANY)))
    assert not restored[0] & {*before, *after}
    assert not restored[1] & {*before, *after}
    assert not restored[0] & restored[1]


def test_a_backup_of_a_version_without_ids_is_restored(log: EventLog, tmp_path: Path) -> None:
    environment = lmdb.open(str(tmp_path), max_dbs=16)
    for name in (b"topics", b"deleted", b"groups", b"offsets", b"history"):
        environment.open_db(name)
    environment.close()
    frozen = FrozenCatalog(tmp_path)
    assert TopicCatalog(frozen).names() == []
    frozen.close()
    opened = CatalogEnvironment(tmp_path, create=False)
    assert ProducerIdCatalog(opened).take_block() == range(1000)
    opened.close()
