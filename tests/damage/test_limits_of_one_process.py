"""What only one process may not do is no failure of the disk."""

from __future__ import annotations

import resource
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

import eventlog
from eventlog import EventLogError, PoisonedError
from tests.support import stores
from tests.support.processes import Worker

_LIMIT = 2**20


def append_under_a_limit(connection: Connection, store: Path, fsync: str, size: int) -> None:
    """Append until the file size limit of this process is reached; report the offsets and the errors."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (_LIMIT, resource.RLIM_INFINITY))
    offsets, errors = [], []
    with eventlog.open(store, fsync=fsync) as log:
        partition = stores.open_partition(log)
        while len(errors) < 2:
            try:
                offsets.append(partition.append(bytes(size)))
            except EventLogError as error:
                errors.append((type(error), str(error)))
    connection.send((offsets, errors))


@pytest.mark.parametrize("fsync", ["never", "always"])
@pytest.mark.parametrize("size", [10_000, 300_000], ids=["by the map", "by a write"])
def test_a_file_size_limit_of_one_process_is_its_own_error(tmp_path: Path, fsync: str, size: int) -> None:
    store = tmp_path / "store"
    stores.create(store)
    with eventlog.open(store, fsync="never") as log:
        partition = stores.open_partition(log)
        first = [partition.append(bytes(10_000)) for _ in range(20)][-1] + 1
        with Worker(append_under_a_limit, store, fsync, size) as limited:
            offsets, errors = limited.receive()
        assert offsets == list(range(first, first + len(offsets))) and offsets
        assert {kind for kind, _ in errors} == {EventLogError} and "RLIMIT_FSIZE" in errors[0][1]
        for other_size in (100, 300_000):
            assert partition.append(bytes(other_size)) == partition.end_offset - 1
        assert len(list(partition.values())) == partition.end_offset == first + len(offsets) + 2
        assert not log.verify()[0].problems
    with eventlog.open(store) as log:
        assert stores.open_partition(log).recovery.outcome == "trusted"


def append_where_nothing_fits(connection: Connection, store: Path) -> None:
    """Append behind the end of what this process may write at all."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
    with eventlog.open(store, fsync="always") as log:
        try:
            stores.open_partition(log).append(b"value")
        except PoisonedError:
            connection.send("poisoned")
        except EventLogError as error:
            connection.send(str(error))


def test_a_process_that_may_write_nothing_there_poisons_nothing(tmp_path: Path) -> None:
    store = tmp_path / "store"
    stores.create(store)
    with eventlog.open(store) as log:
        partition = stores.open_partition(log)
        partition.append(bytes(100_000))
        with Worker(append_where_nothing_fits, store) as limited:
            assert "nothing was written" in limited.receive()
        assert partition.append(b"goes on") == 1
