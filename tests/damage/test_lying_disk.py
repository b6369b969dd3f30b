"""System calls that fail, or do only a part: the cases of the campaign `disks` that matter most.

Each scenario runs in a process of its own that has `faults.c` before the C library."""

from __future__ import annotations

import errno
import gc
import os
import shutil
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

import eventlog
from eventlog import DiskFullError, EventLogError, PoisonedError, StoreReplacedError
from tests.support import faults, stores, workers
from tests.support.faults import Call, Fault, Faults, Part
from tests.support.processes import Interpreter, Worker
from tests.support.stores import TOPIC

pytestmark = pytest.mark.skipif(faults.why_not() is not None, reason=str(faults.why_not()))


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return faults.build(tmp_path_factory.mktemp("faults"))


def _run(library: Path, scenario: Callable[..., None], store: Path, *arguments: Any) -> None:
    with Interpreter(_inside, scenario, store, arguments, prefix=faults.preloaded(library)) as process:
        assert process.receive() == "done"


def _inside(connection: Connection, scenario: Callable[..., None], store: Path, arguments: tuple[Any, ...]) -> None:
    scenario(Faults(store), store, *arguments)
    connection.send("done")


def _on(call: Call, number: int, error_number: int = 0, **options: Any) -> Fault:
    return Fault(frozenset({call}), number, error_number, **options)


def _fail_a_sync(disk: Faults, store: Path, fault: Fault) -> None:
    log = eventlog.open(store, fsync="always")
    partition = stores.open_partition(log)
    partition.append(b"a")
    disk.arm(fault)
    with pytest.raises(PoisonedError) as raised:
        for _ in range(10):
            partition.append(b"v" * 1000)
    assert str(partition.directory) in str(raised.value)
    assert disk.hits == 1
    disk.count()
    for _ in range(3):
        with pytest.raises(PoisonedError, match="open it again"):
            partition.append(b"refused")
    assert partition.read(0)[0].value == b"a"
    with suppress(PoisonedError):  # where anything was not on disk yet
        log.close()
    assert disk.counts()[Call.SYNC] == 0
    assert disk.synced_again == ""


@pytest.mark.parametrize("error_number", [errno.EIO, errno.ENOSPC], ids=os.strerror)
@pytest.mark.parametrize("number", [1, 2, 4, 5, 6, 7])
def test_a_failed_sync_poisons_the_partition_for_everybody_and_is_never_retried(
    library: Path, tmp_path: Path, number: int, error_number: int
) -> None:
    """The first ones are of appends, the others of a roll: the segment, its indexes, and the directory of the next one."""
    store = tmp_path / "store"
    stores.create(store, segment_bytes=3500)
    with Worker(workers.append_when_told, store, {}) as other:
        assert other.receive() == "ready"
        _run(library, _fail_a_sync, store, _on(Call.SYNC, number, error_number))
        other.send(b"also refused")
        assert other.receive()[0] == "PoisonedError"
        other.send(None)
        other.join()
    with eventlog.open(store) as log:
        values = list(stores.open_partition(log).values())
        assert values[0] == b"a" and b"refused" not in values and b"also refused" not in values
        assert stores.open_partition(log).append(b"recovered") == len(values)
        assert not log.verify()[0].problems


def _be_interrupted(disk: Faults, store: Path, call: Call) -> None:
    stores.create(store, segment_bytes=3500)
    count = number = 0
    while True:
        number += 1
        with eventlog.open(store, fsync="always") as log:
            partition = stores.open_partition(log)
            disk.arm(_on(call, number, errno.EINTR))
            for _ in range(5):
                assert partition.append(b"%d" % count * 300) == count
                count += 1
            if disk.hits == 0:
                return


@pytest.mark.parametrize("call", [Call.SYNC, Call.WRITE, Call.TRUNCATE, Call.ALLOCATE, Call.OPEN], ids=lambda call: call.name)
def test_a_signal_inside_a_system_call_is_no_failure(library: Path, tmp_path: Path, call: Call) -> None:
    _run(library, _be_interrupted, tmp_path / "store", call)


def _write_parts(disk: Faults, store: Path) -> None:
    stores.create(store, index_interval_bytes=2**30)  # so that the first write is that of the record
    value = os.urandom(200_000)
    with eventlog.open(store) as log:
        partition = stores.open_partition(log)
        for part in (Part.HALF, Part.ONE_BYTE):
            disk.arm(_on(Call.WRITE, 1, part=part))
            partition.append(value)
            assert disk.hits == 1
        disk.arm(_on(Call.WRITE, 1, part=Part.NOTHING))
        with pytest.raises(DiskFullError, match="nothing was written"):
            partition.append_many([value])  # which tries once
        disk.arm(_on(Call.WRITE, 1, errno.ENOSPC, part=Part.HALF, is_lasting=True))
        with pytest.raises(DiskFullError, match="nothing was written"):
            partition.append_many([value])  # which tries once
        disk.disarm()
        assert partition.append(value) == 2
        assert list(partition.values()) == [value] * 3
        assert not log.verify()[0].problems


def test_a_write_that_does_a_part_is_finished_and_one_that_does_nothing_is_a_full_disk(library: Path, tmp_path: Path) -> None:
    _run(library, _write_parts, tmp_path / "store")


def _fail_in_catalog(disk: Faults, store: Path, error_number: int) -> None:
    stores.create(store)
    with eventlog.open(store) as log:
        failures = 0
        for number in range(20):
            disk.arm(_on(Call.WRITE, 1 + number % 4, error_number, is_lasting=True))
            try:
                log.create_topic(f"t{number}")
            except EventLogError as error:
                assert "catalog" in str(error)
                assert isinstance(error, DiskFullError) == (error_number != errno.EIO)
                failures += 1
                disk.disarm()
                log.create_topic(f"t{number}")
        assert failures >= 5
        assert log.topics() == sorted([TOPIC, *(f"t{number}" for number in range(20))])


@pytest.mark.parametrize("error_number", [errno.EIO, errno.ENOSPC, errno.EDQUOT], ids=os.strerror)
def test_a_catalog_that_could_not_be_written_takes_the_next_change(library: Path, tmp_path: Path, error_number: int) -> None:
    """One of its writes says which transaction was the last; LMDB does nothing more in an environment where that has failed."""
    _run(library, _fail_in_catalog, tmp_path / "store", error_number)


def _read_meanwhile(disk: Faults, store: Path) -> None:
    stores.create(store)
    sys.setswitchinterval(1e-6)  # so that threads meet inside their transactions
    ended = threading.Event()
    with eventlog.open(store) as log, ThreadPoolExecutor(4) as pool:
        readers = [pool.submit(_look_until, ended, log) for _ in range(4)]
        try:
            hits = _cut_changes_off(disk, log)
        finally:
            ended.set()
        assert hits > 1 and all(reader.result() for reader in readers)


def _cut_changes_off(disk: Faults, log: eventlog.EventLog) -> int:
    number = hits = 0
    while number == 0 or disk.hits:
        number += 1
        disk.arm(_on(Call.WRITE, number, part=Part.ONE_BYTE))
        with suppress(EventLogError):
            log.create_topic(f"topic-{number}")
        hits += disk.hits
    disk.disarm()
    return hits


def _look_until(ended: threading.Event, log: eventlog.EventLog) -> int:
    looks = 0
    while not ended.is_set():
        assert TOPIC in log.topics()
        looks += 1
    return looks


def test_who_reads_the_catalog_while_a_change_of_it_is_cut_off_reads_on(library: Path, tmp_path: Path) -> None:
    for number in range(5):
        _run(library, _read_meanwhile, tmp_path / str(number))


def _compact_again_and_again(disk: Faults, store: Path, call: Call, error_number: int) -> None:
    number = 0
    while True:
        number += 1
        place = store / str(number)
        stores.create(place, segment_bytes=1500, cleanup_policy="compact")
        with suppress(EventLogError), eventlog.open(place) as log:
            partition = stores.open_partition(log)
            for count in range(24):
                partition.append(b"%d" % count * 90, key=b"%d" % (count % 7))
            expected = {record.key: record for record in partition.records()}
            disk.arm(_on(call, number, error_number))
            log.maintain(compact_all=True)
        is_last = disk.hits == 0
        disk.disarm()
        with eventlog.open(place) as log:
            for _ in range(2):
                assert {record.key: record for record in stores.open_partition(log).records()} == expected
                assert not log.maintain(compact_all=True).failures
            assert not log.verify()[0].problems
        if is_last:
            return


@pytest.mark.parametrize("call", [Call.RENAME, Call.SYNC, Call.UNLINK, Call.CREATE, Call.WRITE], ids=lambda call: call.name)
def test_a_compaction_that_fails_anywhere_loses_nothing(library: Path, tmp_path: Path, call: Call) -> None:
    _run(library, _compact_again_and_again, tmp_path / "store", call, errno.EIO)


def _repair_again_and_again(disk: Faults, store: Path, fault: Callable[[int], Fault]) -> None:
    number = 0
    while True:
        number += 1
        place = store / str(number)
        lost = _damaged(place)
        with eventlog.open(place) as log:
            disk.arm(fault(number))
            try:
                log.repair(TOPIC, 0, execute=True)
            except EventLogError:
                assert disk.hits
            is_last = disk.hits == 0
            disk.disarm()
            log.repair(TOPIC, 0, execute=True)
            found = [record.offset for record in stores.open_partition(log).records()]
            assert found == [offset for offset in range(20) if offset not in lost]
        if is_last:
            return


def _damaged(store: Path) -> range:
    """A store of 20 records, of which one is damaged; its offset."""
    stores.create(store, segment_bytes=2000)
    with eventlog.open(store) as log:
        for count in range(20):
            stores.open_partition(log).append(b"%d" % count * 150)
    segment = stores.segments(store)[1]
    data = bytearray(segment.read_bytes())
    data[70] ^= 1
    segment.write_bytes(data)
    return range(int(segment.stem), int(segment.stem) + 1)


@pytest.mark.parametrize("call", [Call.RENAME, Call.SYNC, Call.UNLINK, Call.CREATE], ids=lambda call: call.name)
def test_a_repair_that_fails_anywhere_is_done_again(library: Path, tmp_path: Path, call: Call) -> None:
    _run(library, _repair_again_and_again, tmp_path / "store", _Nth(call, errno.EIO, Part.WHOLE))


def test_a_repair_that_reads_a_part_takes_nothing_right_for_wrong(library: Path, tmp_path: Path) -> None:
    _run(library, _repair_again_and_again, tmp_path / "store", _Nth(Call.READ, 0, Part.ONE_BYTE))


class _Nth:
    """The fault of the n-th call of a kind."""

    def __init__(self, call: Call, error_number: int, part: Part) -> None:
        self._call, self._error_number, self._part = call, error_number, part

    def __call__(self, number: int) -> Fault:
        return _on(self._call, number, self._error_number, part=self._part)


def _fail_to_open(disk: Faults, store: Path, call: Call, error_number: int) -> None:
    stores.create(store)
    gc.collect()
    before = os.listdir("/proc/self/fd")
    number = 0
    while number == 0 or disk.hits:
        number += 1
        disk.arm(_on(call, number, error_number))
        try:
            with eventlog.open(store) as log, log.consumer(TOPIC, group="group") as consumer:
                stores.open_partition(log).append(b"v")
                consumer.poll(0)
        except EventLogError as error:
            assert str(store) in str(error) or "catalog" in str(error)
        disk.disarm()
        gc.collect()
        assert os.listdir("/proc/self/fd") == before, f"{call.name} {number} of {disk.first_hit}"
    assert number > 2


@pytest.mark.parametrize(
    ("call", "error_number"),
    [(Call.OPEN, errno.EMFILE), (Call.MAP, errno.ENOMEM), (Call.STAT, errno.EIO), (Call.FLOCK, errno.ENOLCK)],
    ids=lambda value: value.name if isinstance(value, Call) else "",
)
def test_failed_opens_leave_no_file_open(library: Path, tmp_path: Path, call: Call, error_number: int) -> None:
    _run(library, _fail_to_open, tmp_path / "store", call, error_number)


def _fail_to_unlock(disk: Faults, store: Path) -> None:
    log = eventlog.open(store)
    partition = stores.open_partition(log)
    partition.append(b"before")
    disk.arm(_on(Call.FLOCK, 2, errno.ENOLCK, is_lasting=True))  # the first one takes it for itself alone
    with pytest.raises(EventLogError, match="No locks available") as kept:
        partition.close()
    disk.disarm()
    assert kept.traceback  # whose frames refer to all that the partition was made of
    with eventlog.open(store, lock_timeout_ms=1000) as again:
        assert stores.open_partition(again).append(b"behind") == 1
    log.close()


def test_a_partition_whose_lock_cannot_be_given_back_opens_again_while_the_error_is_kept(library: Path, tmp_path: Path) -> None:
    stores.create(tmp_path / "store")
    _run(library, _fail_to_unlock, tmp_path / "store")


def _look_for_the_store(disk: Faults, store: Path, error_number: int) -> None:
    with eventlog.open(store, fsync_interval_ms=10) as log:
        partition = stores.open_partition(log)
        disk.arm(Fault(frozenset({Call.STAT}), 1, error_number, is_lasting=True))
        while disk.hits < 20:  # in rounds of the thread that looks whether the store is still there
            partition.append(b"x")
        disk.disarm()
        assert partition.wait(partition.end_offset - 1, timeout=30, durable=True)
        shutil.rmtree(store / "shared")
        with pytest.raises(StoreReplacedError):
            partition.wait(2**40)


@pytest.mark.parametrize("error_number", [errno.EIO, errno.ENOMEM, errno.EACCES])
def test_a_store_of_which_nobody_can_tell_whether_it_is_there_goes_on(
    library: Path, tmp_path: Path, error_number: int
) -> None:
    stores.create(tmp_path / "store")
    _run(library, _look_for_the_store, tmp_path / "store", error_number)
