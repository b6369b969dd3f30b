"""The catalog stays small and open to everybody, whoever dies in it, fills it, or closes it meanwhile."""

from __future__ import annotations

import dis
import functools
import gc
import itertools
import os
import shutil
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import pytest

import eventlog
from eventlog import EventLog, EventLogError, TopicNotFoundError
from eventlog.catalog import environment, sharing
from eventlog.catalog.environment import CatalogEnvironment
from eventlog.catalog.groups import GroupCatalog
from eventlog.catalog.topics import TopicCatalog
from tests.support import catalogs, members
from tests.support.processes import Interpreter, Worker

_CHANGES = 8
_PAGE = 4096
_STEPS_MIN = 50
_READERS_MAX = 1024
_SMALL_MAP_BYTES = 2**20


def _data_file(store: Path) -> Path:
    return store / "meta" / "data.mdb"


def _change_much(log: EventLog) -> None:
    for _ in range(_CHANGES):
        log.create_topic("comes-and-goes")
        log.delete_topic("comes-and-goes")


def _kill_a_reader(store: Path) -> None:
    with Worker(members.die_while_reading_the_catalog, store) as reader:
        assert reader.receive() == "reading"
        reader.kill()


def test_what_a_killed_reader_saw_is_used_again(store: Path, log: EventLog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sharing, "_TEND_SECONDS", 0.0)
    _change_much(log)
    before = _data_file(store).stat().st_size
    _kill_a_reader(store)
    _change_much(log)
    assert _data_file(store).stat().st_size <= before + _PAGE


def _open(store: Path) -> None:
    eventlog.open(store).close()


def _maintain(store: Path) -> None:
    with eventlog.open(store) as log:
        log.maintain()


@pytest.mark.parametrize("use", [_open, _maintain])
def test_whoever_opens_or_keeps_a_store_frees_the_places_of_dead_readers(store: Path, use: Callable[[Path], None]) -> None:
    with Worker(catalogs.use_the_catalog_when_told, store, _SMALL_MAP_BYTES) as other:
        assert other.receive() == "open"
        _kill_a_reader(store)
        use(store)
        assert not [finding.text for finding in eventlog.diagnose(store) if "died while reading it" in finding.text]


def test_dead_readers_never_keep_the_living_out(store: Path, log: EventLog) -> None:
    with Worker(catalogs.take_every_place_of_a_reader, store) as crowd:
        assert crowd.receive() == "full"
        with pytest.raises(EventLogError, match="READERS_FULL"):
            log.topics()
        crowd.kill()
    assert log.topics() == ["events"]


def test_the_catalog_outgrows_what_is_mapped_of_it_for_every_process(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "_MAP_BYTES", _SMALL_MAP_BYTES)
    with eventlog.open(store) as log, Worker(catalogs.use_the_catalog_when_told, store, _SMALL_MAP_BYTES) as other:
        assert other.receive() == "open"
        catalogs.fill(log, range(4))
        assert _data_file(store).stat().st_size > 2 * _SMALL_MAP_BYTES
        other.send("make of-the-other")
        assert other.receive() == ["events", "of-the-other"]
        catalogs.fill(log, range(4, 8))
        log.create_topic("mine")
        other.send("look")
        assert other.receive() == ["events", "mine", "of-the-other"]
        for name in log.groups():
            log.group(name).delete()
        assert log.topics() == ["events", "mine", "of-the-other"]
    with eventlog.open(store) as log:
        assert log.groups() == []


def test_others_read_while_the_catalog_grows(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "_MAP_BYTES", _SMALL_MAP_BYTES)
    raised: list[BaseException] = []
    is_over = threading.Event()

    def read() -> None:
        try:
            while not is_over.is_set():
                assert log.topics() == ["events"]
        except BaseException as error:
            raised.append(error)

    with eventlog.open(store) as log:
        readers = [threading.Thread(target=read) for _ in range(2)]
        for reader in readers:
            reader.start()
        try:
            catalogs.fill(log, range(4))
        finally:
            is_over.set()
        for reader in readers:
            reader.join()
    assert raised == [] and _data_file(store).stat().st_size > 2 * _SMALL_MAP_BYTES


def test_a_change_that_finds_no_address_space_says_so_and_the_next_one_has_it_once_there_is_some(store: Path) -> None:
    with Worker(catalogs.fill_the_catalog_without_address_space, store, _SMALL_MAP_BYTES) as process:
        kind, message, topics = process.receive()
        assert kind == "DiskFullError" and "address space" in message and topics == ["events"]
        assert process.receive() == "there is room again"


def test_a_process_that_cannot_map_what_others_have_added_says_so_and_goes_on_once_it_can(store: Path) -> None:
    with eventlog.open(store) as log, Worker(catalogs.use_the_catalog_when_told, store, _SMALL_MAP_BYTES) as other:
        assert other.receive() == "open"
        catalogs.store_offsets(log, range(18))
        assert _data_file(store).stat().st_size > 8 * _SMALL_MAP_BYTES
        other.send("look without address space")
        assert other.receive() == "StoreOpenError"
        other.send("look")
        assert other.receive() == ["events"]


@pytest.mark.parametrize("does", ["reads", "changes"])
def test_a_store_that_is_closed_in_the_middle_of_a_transaction_of_another_thread_is_closed(store: Path, does: str) -> None:
    with Interpreter(catalogs.close_beside_a_transaction, store, does) as process:
        assert process.receive() == "StoreClosedError"
        assert process.receive() == "closed"
        with eventlog.open(store, lock_timeout_ms=5000) as log:
            log.create_topic("others-go-on")
        process.join()


def test_a_store_is_opened_while_a_thread_of_this_process_looks_it_over(store: Path) -> None:
    looking = CatalogEnvironment(store / "meta", create=False, read_only=True)
    try:
        with eventlog.open(store) as log:
            log.create_topic("made")
            assert TopicCatalog(looking).names() == ["events", "made"]
        assert TopicCatalog(looking).names() == ["events", "made"]
    finally:
        looking.close()


def test_a_reader_whose_process_copies_the_store_is_no_dead_one(store: Path, log: EventLog) -> None:
    shutil.copytree(store, store.parent / "copy")
    with log.store.catalog.groups.read("any"), Worker(catalogs.use_the_catalog_when_told, store, 2**30) as other:
        assert other.receive() == "open"
        assert not [finding.text for finding in eventlog.diagnose(store) if "died while reading it" in finding.text]
        assert _places_of_readers(store) == 1


def _places_of_readers(store: Path) -> int:
    """How many transactions LMDB takes to be reading, whoever asks."""
    with Worker(catalogs.count_readers_of_the_catalog, store) as process:
        count = process.receive()
        assert isinstance(count, int)
        return count


def test_a_child_that_was_forked_in_a_transaction_leaves_that_to_its_parent(store: Path) -> None:
    with Interpreter(catalogs.fork_inside_a_transaction, store) as process:
        assert process.receive() == ["events"]
        assert process.receive() == "committed"
        process.join()
    with eventlog.open(store) as log:
        assert log.groups() == ["made-by-the-parent"]


def test_a_look_at_groups_is_one_moment(store: Path, log: EventLog) -> None:
    catalog: GroupCatalog = log.store.catalog.groups
    log.create_group("before")
    with catalog.read_all() as found:
        log.create_group("meanwhile")
        assert [group.name for group in found] == ["before"]
    assert catalog.names() == ["before", "meanwhile"]


class _Interrupt(KeyboardInterrupt):
    pass


@functools.cache
def _behind_calls(code: CodeType) -> set[int]:
    """Where the interpreter has just called something: it runs a signal's handler there, and as a function begins."""
    steps = list(dis.get_instructions(code))
    return {after.offset for before, after in itertools.pairwise(steps) if before.opname.startswith("CALL")}


def _interrupted(work: Callable[[], object], step: int) -> BaseException | None:
    """Do some work, and raise at the `step`-th place where a signal's handler may; None once there are fewer."""
    steps = 0

    def trace(frame: FrameType, event: str, _: object) -> Callable[..., Any]:
        nonlocal steps
        frame.f_trace_opcodes = True
        if event == "call" or (event == "opcode" and frame.f_lasti in _behind_calls(frame.f_code)):
            steps += 1
            if steps == step:
                sys.settrace(None)
                raise _Interrupt
        return trace

    try:
        sys.settrace(trace)
        try:
            work()
        finally:
            sys.settrace(None)
    except BaseException as error:
        return error
    return _Interrupt() if steps >= step else None  # raised in a finalizer, which ignores errors


@pytest.mark.parametrize("write", [True, False], ids=["a change", "a look"])
def test_an_interrupt_anywhere_in_a_transaction_leaves_nothing_behind_while_it_is_handled(log: EventLog, write: bool) -> None:
    catalog = log.store.catalog.groups

    def transact() -> None:
        with catalog.change("group") if write else catalog.read("group") as group:
            group.partition_counts({"events"})

    for step in itertools.count(1):
        raised = _interrupted(transact, step)
        if raised is None:
            break
        (shared,) = environment._environments.opened.values()
        assert not shared._transactions, step
        with catalog.change("another"):  # for which the gate has to be free
            pass
    assert step > _STEPS_MIN


def test_a_close_that_was_interrupted_is_finished_by_the_next_one(store: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for step in itertools.count(1):
        catalog = CatalogEnvironment(store / "meta", create=False)
        is_over = _interrupted(catalog.close, step) is None
        catalog.close()
        assert all(shared.is_closed for shared in environment._environments.opened.values()), step
        if is_over:
            break
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_handle_that_was_dropped_is_closed(store: Path) -> None:
    catalog = CatalogEnvironment(store / "meta", create=False)
    assert TopicCatalog(catalog).names() == ["events"]
    del catalog
    gc.collect()
    assert all(shared.is_closed for shared in environment._environments.opened.values())


def test_exceptions_that_somebody_keeps_keep_no_place_of_a_reader(log: EventLog) -> None:
    kept = []
    for number in range(_READERS_MAX + 1):
        try:
            log.topic(f"there-is-none-{number}")
        except TopicNotFoundError as error:
            kept.append(error)
    assert len(kept) > _READERS_MAX and log.topics() == ["events"]
