"""Records as columns: what `records` gives, in buffers that NumPy and Arrow take over."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy
import pyarrow
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import eventlog
from eventlog import (
    Columns,
    CorruptLogError,
    EventLog,
    EventLogError,
    InvalidArgumentError,
    InvalidTypeError,
    OffsetOutOfRangeError,
    Partition,
    StoreClosedError,
)
from tests.support import stores

Row = tuple[int, int, bytes | None, bytes | None]
KEYS = [b"k", None, b"", b"a longer key", None, b"k", b"z", None, b"last"]
VALUES = [b"one", b"", None, b"x" * 300, b"five", None, b"seven", b"", b"nine"]


@pytest.fixture
def partition(partition: Partition) -> Partition:
    """Two batches of nine records with keys, nulls, empty values and headers, then one without."""
    for start in (1000, 5000):
        partition.append_many(
            VALUES, keys=KEYS, headers=[(("name", b"x"),)] * 9, timestamps=[start - number for number in range(9)]
        )
    partition.append_many([b"plain"] * 7)
    return partition


def copy_of(item: memoryview | None) -> bytes | None:
    return None if item is None else bytes(item)


def rows(found: Iterator[Columns]) -> list[Row]:
    every: list[Row] = []
    for columns in found:
        assert len(columns) == len(columns.keys) == len(columns.values) == len(columns.timestamps) > 0
        items = zip(columns.keys, columns.values, strict=True)
        every.extend(
            (offset, timestamp, copy_of(key), copy_of(value))
            for offset, timestamp, (key, value) in zip(columns.offsets, columns.timestamps, items, strict=True)
        )
    return every


def expected(partition: Partition, start: int | None = None, stop: int | None = None) -> list[Row]:
    return [(each.offset, each.timestamp, each.key, each.value) for each in partition.records(start, stop)]


@pytest.mark.parametrize("count_max", [1, 4, 9, 10, 65_536])
def test_columns_hold_what_the_records_do(partition: Partition, count_max: int) -> None:
    found = list(partition.columns(count_max=count_max))
    assert rows(iter(found)) == expected(partition) and len(expected(partition)) == 25
    assert all(len(columns) <= count_max for columns in found)


@pytest.mark.parametrize("start", [0, 4, 9, 12, 25])
@pytest.mark.parametrize("stop", [0, 5, 9, 13, 25, 100, None])
def test_a_range_begins_and_ends_inside_a_batch(partition: Partition, start: int, stop: int | None) -> None:
    assert rows(partition.columns(start, stop)) == expected(partition, start, stop)


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
def test_compressed_batches(partition: Partition, codec: str) -> None:
    partition.append_many(VALUES * 20, keys=KEYS * 20, compression=codec)
    assert rows(partition.columns(3)) == expected(partition, 3)
    assert rows(partition.columns(30, 50, count_max=7)) == expected(partition, 30, 50)


def test_several_segments_and_a_batch_larger_than_a_block(tmp_path: Path) -> None:
    stores.create(tmp_path / "store", segment_bytes=600_000)
    with eventlog.open(tmp_path / "store") as log:
        partition = stores.open_partition(log)
        for number in range(5):
            partition.append_many([b"%d" % number * 1000] * 300, keys=[b"k%d" % number] * 300)
        assert len(stores.segments(tmp_path / "store")) > 2
        assert rows(partition.columns()) == expected(partition)


def test_append_time_is_the_time_of_each_record(tmp_path: Path) -> None:
    stores.create(tmp_path / "store", message_timestamp_type="LogAppendTime")
    with eventlog.open(tmp_path / "store") as log:
        partition = stores.open_partition(log)
        partition.append_many([b"a", b"b"], timestamps=[1, 2])
        assert rows(partition.columns()) == expected(partition)


def test_nothing_gives_no_columns(log: EventLog) -> None:
    assert list(stores.open_partition(log).columns()) == []


def test_what_is_durable_alone(partition: Partition) -> None:
    partition.flush()
    partition.append(b"not yet on disk")
    durable = partition.durable_offset
    assert durable == 25 and partition.end_offset == 26
    assert rows(partition.columns(durable=True)) == expected(partition, 0, durable)


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"start": 26}, OffsetOutOfRangeError, "26"),
        ({"start": "0"}, InvalidTypeError, "an offset must be an int"),
        ({"stop": -1}, InvalidArgumentError, "stop is -1"),
        ({"count_max": 0}, InvalidArgumentError, "count_max is 0"),
        ({"count_max": 1.5}, InvalidTypeError, "count_max must be an int"),
        ({"durable": 1}, InvalidTypeError, "durable"),
    ],
)
def test_bad_arguments_are_named_at_once(
    partition: Partition, arguments: dict[str, object], error: type[EventLogError], text: str
) -> None:
    with pytest.raises(error, match=text):
        partition.columns(**arguments)  # type: ignore[arg-type]


def test_a_damaged_batch_is_told_after_the_right_ones(store: Path, partition: Partition) -> None:
    right = expected(partition, 0, 9)
    segment = stores.segments(store)[0]
    data = bytearray(segment.read_bytes())
    second = 12 + int.from_bytes(data[8:12], "big")
    data[second + 70] ^= 1
    segment.write_bytes(data)
    found = partition.columns()
    assert rows(iter([next(found)])) == right
    with pytest.raises(CorruptLogError, match="CRC32C") as raised:
        next(found)
    assert raised.value.position == second


def test_a_closed_log(log: EventLog, partition: Partition) -> None:
    begun = partition.columns(count_max=1)
    next(begun)
    log.close()
    with pytest.raises(StoreClosedError):
        partition.columns()
    with pytest.raises(StoreClosedError):
        next(begun)


def test_views_stay_valid_and_cannot_be_written(log: EventLog, partition: Partition) -> None:
    before = expected(partition)
    found = list(partition.columns(count_max=5))
    log.close()
    assert rows(iter(found)) == before
    offsets, timestamps, value = found[0].offsets, found[0].timestamps, found[0].values[0]
    del found
    assert (offsets[0], timestamps[0], copy_of(value)) == (0, 1000, b"one")
    for buffer in (offsets, timestamps, value):
        assert buffer is not None and buffer.readonly


def test_items_from_the_end_and_outside(partition: Partition) -> None:
    columns = next(partition.columns(0, 9))
    assert [copy_of(value) for value in columns.values] == VALUES
    assert columns.values[-1] == b"nine" and columns.keys[-9] == b"k" and columns.keys[-8] is None
    for item in (9, -10):
        with pytest.raises(IndexError):
            columns.values[item]
    plain = next(partition.columns(18))
    assert plain.values.validity is None and plain.keys.null_count == len(plain)


def address(buffer: memoryview) -> int:
    return int(numpy.frombuffer(buffer, "uint8").__array_interface__["data"][0])


def test_numpy_arrays_are_the_same_memory(partition: Partition) -> None:
    columns = next(partition.columns(0, 9))
    arrays = columns.numpy()
    assert arrays["offsets"].tolist() == list(range(9)) and arrays["offsets"].dtype == numpy.int64
    buffers = {
        "offsets": columns.offsets, "timestamps": columns.timestamps, "key_data": columns.keys.data,
        "key_ends": columns.keys.ends, "key_validity": columns.keys.validity, "value_data": columns.values.data,
        "value_ends": columns.values.ends, "value_validity": columns.values.validity,
    }  # fmt: skip
    assert set(arrays) == set(buffers)
    for name, buffer in buffers.items():
        assert numpy.shares_memory(arrays[name], numpy.asarray(buffer)) and not arrays[name].flags.writeable


def test_an_arrow_batch_is_the_same_memory(partition: Partition) -> None:
    columns = next(partition.columns(0, 9))
    batch = columns.arrow()
    batch.validate(full=True)
    assert batch.schema.names == ["offset", "timestamp", "key", "value"]
    assert batch.schema.field("timestamp").type == pyarrow.timestamp("ms", tz="UTC")
    assert batch.column("key").to_pylist() == KEYS and batch.column("value").to_pylist() == VALUES
    assert batch.column("timestamp").cast("int64").to_pylist() == list(columns.timestamps)
    for name, column in (("key", columns.keys), ("value", columns.values)):
        assert column.validity is not None
        found = [buffer.address for buffer in batch.column(name).buffers()]
        assert found == [address(column.validity), address(column.ends), address(column.data)]
    assert batch.column("offset").buffers()[1].address == address(columns.offsets)
    assert batch.column("timestamp").buffers()[1].address == address(columns.timestamps)


def test_columns_without_a_byte_are_arrays_too(log: EventLog) -> None:
    partition = stores.open_partition(log)
    partition.append_many([None, None])
    columns = next(partition.columns())
    assert len(columns.numpy()["value_data"]) == 0
    assert columns.arrow().column("value").to_pylist() == [None, None]


@pytest.mark.parametrize(("method", "library"), [("numpy", "numpy"), ("arrow", "pyarrow")])
def test_a_missing_library_is_named(
    partition: Partition, monkeypatch: pytest.MonkeyPatch, method: str, library: str
) -> None:
    columns = next(partition.columns())
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(EventLogError, match=rf"{library} is needed.*eventlog-store\[columns\]"):
        getattr(columns, method)()


small = st.none() | st.binary(max_size=40) | st.binary(min_size=200, max_size=300)


@given(
    batches=st.lists(st.lists(st.tuples(small, small, st.integers(0, 2**50)), min_size=1, max_size=30), max_size=6),
    codecs=st.lists(st.sampled_from([None, "gzip", "zstd"]), min_size=6, max_size=6),
    count_max=st.integers(1, 40), bounds=st.tuples(st.floats(0, 1), st.floats(0, 1)),
)  # fmt: skip
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_records_in_any_range(
    tmp_path_factory: pytest.TempPathFactory, batches: list[list[tuple[bytes | None, bytes | None, int]]],
    codecs: list[str | None], count_max: int, bounds: tuple[float, float],
) -> None:  # fmt: skip
    store = tmp_path_factory.mktemp("columns") / "store"
    stores.create(store, segment_bytes=4096)
    with eventlog.open(store) as log:
        partition = stores.open_partition(log)
        for batch, codec in zip(batches, codecs, strict=False):
            keys, values, timestamps = zip(*batch, strict=True)
            for at in range(0, len(batch), 6):  # a unit fits into a segment
                part = slice(at, at + 6)
                partition.append_many(values[part], keys=keys[part], timestamps=timestamps[part], compression=codec)
        start, stop = (int(bound * partition.end_offset) for bound in bounds)
        assert rows(partition.columns(count_max=count_max)) == expected(partition)
        assert rows(partition.columns(start, stop, count_max=count_max)) == expected(partition, start, stop)
