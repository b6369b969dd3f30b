"""All processes die at once; the system lives on, and so does the page cache."""

from __future__ import annotations

from pathlib import Path

import pytest

import eventlog
from tests.support import heads, payloads, stores, workers
from tests.support.processes import Interpreter

_PROCESSES = 4
_GROUPS, _SIZE, _RECORD_BYTES = 32, 32, 16 * 1024


def test_a_log_whose_processes_were_all_killed_is_trusted_and_complete(tmp_path: Path) -> None:
    store = tmp_path / "store"
    stores.create(store, segment_bytes=48 * 2**20)
    writers = [
        Interpreter(workers.append_large, store, number, _GROUPS, _SIZE, _RECORD_BYTES) for number in range(_PROCESSES)
    ]
    try:
        counts = [writer.receive() for writer in writers]
    finally:
        for writer in writers:
            writer.kill()
    bytes_written = sum(counts) * _RECORD_BYTES
    assert bytes_written == 64 * 2**20
    with eventlog.open(store) as log:
        partition = stores.open_partition(log)
        assert (partition.recovery.outcome, partition.recovery.scanned_bytes) == ("trusted", 0)
        checker = payloads.Checker()
        for offset, value in enumerate(partition.values()):
            checker.check(offset, value)
        assert checker.next_offset == partition.end_offset == sum(counts)
        assert partition.append(b"on it goes") == sum(counts)
    for segment in stores.segments(store):
        segment.unlink()


@pytest.mark.parametrize("end_offset", [0, 2, 11])
def test_a_head_with_another_end_than_its_tail_is_not_believed_where_nobody_sealed_it(store: Path, end_offset: int) -> None:
    with eventlog.open(store) as log:
        for _ in range(10):
            stores.open_partition(log).append(b"x")
    heads.break_seal(stores.head_file(store))
    heads.MappedHead(stores.head_file(store)).state.end_offset = end_offset
    with eventlog.open(store) as log:
        partition = stores.open_partition(log)
        assert partition.end_offset == 10 and list(partition.values()) == [b"x"] * 10
