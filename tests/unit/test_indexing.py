"""Indexes of sealed segments, made anew from the log."""

from __future__ import annotations

from pathlib import Path

import pytest

import eventlog
from eventlog import CorruptLogError
from eventlog.storage.segments.indexing import rebuild_indexes
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


def _filled(store: Path) -> list[Path]:
    stores.create(store / "rotten", segment_bytes=4096, index_interval_bytes=128)
    with eventlog.open(store / "rotten") as log:
        for number in range(100):
            stores.open_partition(log).append(b"%d " % number * 20, timestamp=2**42 + number)
    return stores.segments(store / "rotten")


@pytest.mark.parametrize("is_open", [False, True], ids=["opened now", "open before"])
@pytest.mark.parametrize("suffix", [".index", ".timeindex"])
def test_an_index_that_is_found_to_lie_is_made_anew(
    tmp_path: Path, suffix: str, is_open: bool, caplog: pytest.LogCaptureFixture
) -> None:
    log_file = _filled(tmp_path)[1]
    path = log_file.with_suffix(suffix)
    good = path.read_bytes()
    entry_bytes = 8 if suffix == ".index" else 12
    lying = bytearray(good)
    for at in range(entry_bytes - 1, len(lying), entry_bytes):
        lying[at] ^= 1
    last = int(stores.segments(tmp_path / "rotten")[2].stem) - 1
    with eventlog.open(tmp_path / "rotten") as log:
        partition = stores.open_partition(log)
        if is_open:
            assert partition.read(int(log_file.stem), 1)[0].offset == int(log_file.stem)
        path.write_bytes(lying)
        assert partition.read(last, 1)[0].offset == last
        assert path.read_bytes() == good or suffix == ".timeindex"
        assert partition.offset_for_time(2**42 + last) == last
        assert path.read_bytes() == good and path.name.split(".")[0] in caplog.text
        assert [report.problems for report in log.verify()] == [[]]


def test_indexes_of_a_segment_that_is_wrong_itself_are_left_alone(tmp_path: Path) -> None:
    log_file = _filled(tmp_path)[1]
    data = bytearray(log_file.read_bytes())
    data[23] ^= 0x40  # the last offset of the first batch
    log_file.write_bytes(data)
    before = [log_file.with_suffix(suffix).read_bytes() for suffix in (".index", ".timeindex")]
    with pytest.raises(CorruptLogError):
        rebuild_indexes(log_file.parent, int(log_file.stem), 128)
    assert before == [log_file.with_suffix(suffix).read_bytes() for suffix in (".index", ".timeindex")]


def test_housekeeping_makes_missing_and_torn_indexes_and_rotten_checkpoints_anew(tmp_path: Path) -> None:
    log_file = _filled(tmp_path)[1]
    index, time_index = log_file.with_suffix(".index"), log_file.with_suffix(".timeindex")
    good = index.read_bytes(), time_index.read_bytes()
    checkpoint = log_file.parent / "log-start-offset-checkpoint"
    with eventlog.open(tmp_path / "rotten") as log:
        log.alter_topic(stores.TOPIC, config={"retention.ms": -1})
        stores.open_partition(log).delete_records(3)
        noted = checkpoint.read_bytes()
        index.unlink()
        time_index.write_bytes(good[1][:-1])
        checkpoint.write_bytes(noted.replace(b"events 0 3", b"events 0 7"))
        assert checkpoint in {problem.path for problem in log.verify()[0].problems}
        [done] = log.maintain().partitions
        assert set(done.rebuilt) == {index, time_index, checkpoint}
        assert (index.read_bytes(), time_index.read_bytes(), checkpoint.read_bytes()) == (*good, noted)
        assert log.maintain().partitions == [] and log.verify()[0].problems == []
