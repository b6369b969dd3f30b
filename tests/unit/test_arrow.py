"""Columns by Arrow's PyCapsule protocol: what other libraries take over, and when the memory is released."""

from __future__ import annotations

import ctypes
import gc
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow
import pytest

import eventlog
from eventlog import EventLog, InvalidArgumentError, InvalidTypeError, PartitionNotFoundError, TopicNotFoundError
from eventlog._native import arrow_array, arrow_schema, arrow_stream
from eventlog.records.arrow import VALUE, struct
from eventlog.records.checksum import checksum_of
from tests.support import stores

NAMES = ["partition", "offset", "timestamp", "key", "value"]
HEADERS = [[("a", b"1"), ("a", None)], None, [("ü", b"")]]


@pytest.fixture
def topic(tmp_path: Path) -> EventLog:
    """A log with the topic `orders`: three partitions, of which the second is empty."""
    with eventlog.open(tmp_path / "store") as log:
        log.create_topic("orders", partitions=3)
        for number in (0, 2):
            log.partition("orders", number).append_many(
                [b"first", None, b"third"],
                keys=[None, b"k", b""],
                headers=HEADERS,
                timestamps=[1000 + number, 3000 + number, 2000 + number],
            )
        yield log


def rows(table: pyarrow.Table) -> list[dict[str, Any]]:
    table.validate(full=True)
    return table.set_column(
        table.schema.get_field_index("timestamp"), "timestamp", table.column("timestamp").cast("int64")
    ).to_pylist()


def expected(log: EventLog) -> list[dict[str, Any]]:
    found = []
    for number in range(3):
        for record in log.partition("orders", number).records():
            fields = {name: getattr(record, name) for name in NAMES}
            found.append({**fields, "headers": [{"name": name, "value": value} for name, value in record.headers]})
    return found


def test_a_topic_is_a_table(topic: EventLog) -> None:
    table = pyarrow.table(topic.columns("orders", headers=True))
    assert table.schema.names == [*NAMES, "headers"]
    assert table.schema.field("timestamp").type == pyarrow.timestamp("ms", tz="UTC")
    assert rows(table) == expected(topic)
    assert len(expected(topic)) == 6


def test_headers_are_left_out_unless_they_are_asked_for(topic: EventLog) -> None:
    table = pyarrow.table(topic.columns("orders"))
    assert table.schema.names == NAMES
    assert rows(table) == [{name: row[name] for name in NAMES} for row in expected(topic)]


def test_the_schema_is_known_without_a_record(topic: EventLog) -> None:
    columns = topic.columns("orders", [1], headers=True)
    assert pyarrow.schema(columns) == pyarrow.table(columns).schema
    assert pyarrow.table(columns).num_rows == 0


def test_a_stream_may_be_read_again_and_sees_what_was_appended_since(topic: EventLog) -> None:
    columns = topic.columns("orders", [0])
    assert pyarrow.table(columns).num_rows == 3
    topic.partition("orders", 0).append(b"more")
    assert pyarrow.table(columns).num_rows == sum(len(each) for each in columns) == 4


@pytest.mark.parametrize(
    ("since", "until", "found"),
    [(None, None, [0, 1, 2]), (2000, None, [1, 2]), (2001, None, [1]), (None, 2000, [0]), (2000, 3000, [2]), (5000, None, [])],
)
def test_times_select_records_one_by_one(topic: EventLog, since: int | None, until: int | None, found: list[int]) -> None:
    table = pyarrow.table(topic.columns("orders", [0], since=since, until=until, headers=True))
    assert rows(table) == [expected(topic)[number] for number in found]


@pytest.mark.parametrize("codec", [None, "gzip"])
def test_long_spans_without_a_selected_record_are_passed(topic: EventLog, codec: str | None) -> None:
    partition = topic.partition("orders", 1)
    for number in range(200):
        partition.append_many([b"x" * 10_000] * 10, timestamps=[number] * 10, compression=codec)
    for since in (0, 150, 199, 200):
        offsets = [offset for columns in partition.columns(since=since, until=199) for offset in columns.offsets]
        assert offsets == list(range(10 * since, 1990))


def test_headers_of_a_record_are_items(topic: EventLog) -> None:
    [columns] = topic.partition("orders", 0).columns(headers=True)
    assert columns.headers is not None
    assert [[(name, value if value is None else bytes(value)) for name, value in each] for each in columns.headers] == [
        [("a", b"1"), ("a", None)], [], [("ü", b"")],
    ]  # fmt: skip
    assert len(columns.headers) == 3 and columns.headers[-1] == columns.headers[2]
    with pytest.raises(IndexError):
        columns.headers[3]


def test_names_of_headers_that_are_not_utf8_are_marked(log: EventLog) -> None:
    partition = stores.open_partition(log)
    partition.append(b"v", headers=[("name", b"\xff")])
    segment = next(Path(partition.directory).glob("*.log"))
    data = segment.read_bytes()
    assert data.count(b"name") == 1
    changed = bytearray(data.replace(b"name", b"n\xffm\xc3"))
    size = 12 + int.from_bytes(changed[8:12], "big")
    changed[17:21] = checksum_of(bytes(changed[21:size])).to_bytes(4, "big")
    segment.write_bytes(changed)
    [columns] = partition.columns(headers=True)
    assert columns.arrow().column("headers").to_pylist() == [[{"name": "n?m?", "value": b"\xff"}]]


def test_a_batch_has_the_headers_and_the_partition_only_if_it_has_any(topic: EventLog) -> None:
    [columns] = topic.partition("orders", 0).columns()
    assert columns.arrow().schema.names == NAMES[1:]
    [with_headers] = topic.partition("orders", 0).columns(headers=True)
    assert with_headers.arrow().schema.names == [*NAMES[1:], "headers"]
    [of_topic] = topic.columns("orders", [2])
    assert of_topic.arrow().schema.names == NAMES and of_topic.arrow().column("partition").to_pylist() == [2, 2, 2]
    assert pyarrow.schema(of_topic) == of_topic.arrow().schema


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"topic": "nothing"}, TopicNotFoundError),
        ({"partitions": [3]}, PartitionNotFoundError),
        ({"partitions": 0}, InvalidTypeError),
        ({"since": "now"}, InvalidTypeError),
        ({"until": -1}, InvalidArgumentError),
        ({"headers": 1}, InvalidTypeError),
        ({"durable": None}, InvalidTypeError),
    ],
)
def test_bad_arguments_are_named_at_once(topic: EventLog, arguments: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        topic.columns(**{"topic": "orders", **arguments})


def test_an_error_while_a_stream_is_read_reaches_the_reader_with_its_text(topic: EventLog) -> None:
    reader = pyarrow.RecordBatchReader.from_stream(topic.columns("orders"))
    assert reader.read_next_batch().num_rows == 3
    topic.close()
    with pytest.raises(OSError, match="StoreClosedError: "):
        reader.read_next_batch()


# --- memory ----------------------------------------------------------------------------------------------


class Owner:
    """Memory with one null value, of which a test knows whether it is held."""

    def __init__(self) -> None:
        self.ends = ctypes.create_string_buffer(16)
        self.validity = ctypes.create_string_buffer(8)
        column = (1, 1, (ctypes.addressof(self.validity), ctypes.addressof(self.ends), ctypes.addressof(self.ends)), ())
        self.node = (1, 0, (0,), (column,))


SCHEMA = struct((VALUE,))


def taken(schema: object, array: object) -> pyarrow.RecordBatch:
    return pyarrow.RecordBatch._import_from_c_capsule(schema, array)


def test_memory_is_held_as_long_as_what_was_made_of_it() -> None:
    owner = Owner()
    held = weakref.ref(owner)
    batch = taken(arrow_schema(SCHEMA), arrow_array(owner.node, owner))
    del owner
    column = batch.column(0)
    del batch
    gc.collect()
    assert held() is not None and column.to_pylist() == [None]
    del column
    gc.collect()
    assert held() is None


def test_memory_of_a_capsule_that_nobody_takes_is_released() -> None:
    owner = Owner()
    held = weakref.ref(owner)
    capsules = [arrow_schema(SCHEMA), arrow_array(owner.node, owner), arrow_stream(SCHEMA, lambda held=owner: None)]
    del owner
    assert held() is not None
    capsules.clear()
    gc.collect()
    assert held() is None


def test_memory_may_be_released_by_another_thread() -> None:
    owner = Owner()
    held = weakref.ref(owner)
    batches = [taken(arrow_schema(SCHEMA), arrow_array(owner.node, owner))]
    del owner
    thread = threading.Thread(target=batches.clear)
    thread.start()
    thread.join()
    assert held() is None


def test_a_stream_that_is_dropped_before_its_end_is_released() -> None:
    owner = Owner()
    held = weakref.ref(owner)
    stream = arrow_stream(SCHEMA, lambda owner=owner: (owner.node, owner))
    reader = pyarrow.RecordBatchReader._import_from_c_capsule(stream)
    reader.read_next_batch()
    del stream
    del reader, owner
    gc.collect()
    assert held() is None


BAD: dict[str, Callable[[], object]] = {
    "a_field_that_is_no_tuple": lambda: arrow_schema("value"),  # type: ignore[arg-type]
    "a_field_that_is_too_short": lambda: arrow_schema(("value", "Z")),
    "a_child_that_is_no_field": lambda: arrow_schema(("", "+s", 0, (VALUE, None))),
    "a_node_that_is_no_tuple": lambda: arrow_array(None, None),  # type: ignore[arg-type]
    "an_address_that_is_none": lambda: arrow_array((0, 0, ("x",), ()), None),
    "a_child_that_is_no_node": lambda: arrow_array((0, 0, (0,), ((0, 0, (), ()), 1)), None),
}


@pytest.mark.parametrize("use", BAD.values(), ids=BAD.keys())
def test_a_bad_description_is_an_error(use: Callable[[], object]) -> None:
    with pytest.raises(TypeError):
        use()


def test_a_bad_piece_of_a_stream_is_an_error() -> None:
    for wrong in (1, (None, None), ((0, 0, (0,), (1,)), None)):
        reader = pyarrow.RecordBatchReader._import_from_c_capsule(arrow_stream(SCHEMA, lambda wrong=wrong: wrong))
        with pytest.raises((OSError, MemoryError)):
            reader.read_next_batch()


def test_what_outlives_the_interpreter_does_no_harm(tmp_path: Path) -> None:
    script = """
import sys, eventlog, pyarrow
with eventlog.open(sys.argv[1]) as log:
    log.create_topic("t")
    log.partition("t", 0).append(b"v")
    sys.kept = pyarrow.RecordBatchReader.from_stream(log.columns("t"))
    sys.batch = sys.kept.read_next_batch()
print(sys.batch.num_rows)
"""
    done = subprocess.run([sys.executable, "-c", script, tmp_path / "s"], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "1\n", "")


def test_no_library_is_imported_with_the_package(tmp_path: Path) -> None:
    script = """
import sys, eventlog, eventlog.api, eventlog.views.columns
with eventlog.open(sys.argv[1]) as log:
    log.create_topic("t")
    list(log.columns("t"))
    log.columns("t").__arrow_c_stream__()
print({"numpy", "pyarrow", "polars", "pandas", "duckdb"} & set(sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", script, tmp_path / "s"], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("set()\n", "")
