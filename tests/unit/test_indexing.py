"""Indexes of sealed segments, made anew from the log."""

from __future__ import annotations

from pathlib import Path

import pytest

import eventlog
from eventlog import CorruptLogError
from eventlog.storage.indexing import rebuild_indexes
from tests.support import stores

_INTERVAL_BYTES = 256


def _fill(store: Path, value_bytes: int = 20) -> list[Path]:
    """Sealed segments with several entries in each index; timestamps go back at times."""
    stores.create(store, segment_bytes=8192 + 3 * value_bytes, index_interval_bytes=_INTERVAL_BYTES)
    with eventlog.open(store) as log:
        for number in range(300):
            stores.open_partition(log).append(bytes(value_bytes), timestamp=1000 + number - 40 * (number % 3))
    sealed = stores.segments(store)[:-1]
    assert len(sealed) > 2
    return sealed


@pytest.mark.parametrize("damage", [None, b"", b"\xff" * 100, b"\x00" * 64], ids=["gone", "empty", "garbage", "zeros"])
def test_rebuilt_indexes_are_what_the_appender_had_written(tmp_path: Path, damage: bytes | None) -> None:
    for log in _fill(tmp_path / "store"):
        both = [log.with_suffix(".index"), log.with_suffix(".timeindex")]
        before = [path.read_bytes() for path in both]
        assert all(len(content) > 12 for content in before)
        for path in both:
            path.unlink() if damage is None else path.write_bytes(damage)
        rebuild_indexes(log.parent, int(log.stem), _INTERVAL_BYTES)
        assert [path.read_bytes() for path in both] == before
        assert not list(log.parent.glob("*.tmp"))


def test_a_batch_larger_than_a_block_is_indexed(tmp_path: Path) -> None:
    store = tmp_path / "store"
    stores.create(store, segment_bytes=2**25, max_message_bytes=2**24, index_interval_bytes=_INTERVAL_BYTES)
    with eventlog.open(store) as log:
        for size in (9 * 2**20, 100, 9 * 2**20, 9 * 2**20, 9 * 2**20):
            stores.open_partition(log).append(bytes(size), timestamp=size)
    log_file = stores.segments(store)[0]
    before = log_file.with_suffix(".index").read_bytes()
    assert before
    rebuild_indexes(log_file.parent, 0, _INTERVAL_BYTES)
    assert log_file.with_suffix(".index").read_bytes() == before


@pytest.mark.parametrize("damage", ["cut", "garbage in the middle"])
def test_where_the_log_is_damaged_the_indexes_stay_and_the_place_is_told(tmp_path: Path, damage: str) -> None:
    path = _fill(tmp_path / "store")[0]
    data = path.read_bytes()
    path.write_bytes(data[:-1] if damage == "cut" else data[:4000] + b"\xff" * 200 + data[4200:])
    before = path.with_suffix(".index").read_bytes()
    with pytest.raises(CorruptLogError) as raised:
        rebuild_indexes(path.parent, 0, _INTERVAL_BYTES)
    assert raised.value.path == path and 0 < raised.value.position < len(data)
    assert path.with_suffix(".index").read_bytes() == before
