"""`eventlog export`."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

import eventlog
from tests.cli.command_line import CommandLine

NAMES = ["partition", "offset", "timestamp", "key", "value", "headers"]


@pytest.fixture
def orders(cli: CommandLine) -> CommandLine:
    """A topic of two partitions: JSON, bytes, a null, and headers; with times 1000, 2000, 3000 in each."""
    with eventlog.open(cli.store) as log:
        log.create_topic("orders", partitions=2)
        for number in range(2):
            log.partition("orders", number).append_many(
                [b'{"total": 1.5, "who": "a,\\n", "more": [1, true]}', b"\xff", None],
                keys=[b"k", None, b"\xfe"],
                headers=[[("h", b"1"), ("h", None)], None, None],
                timestamps=[1000, 2000, 3000],
            )
    return cli


def table(path: Path) -> pyarrow.Table:
    return pyarrow.parquet.read_table(path) if path.suffix == ".parquet" else pyarrow.ipc.open_file(path).read_all()


def expected(cli: CommandLine) -> list[list[Any]]:
    with eventlog.open(cli.store) as log:
        return [
            [*record[1:6], [{"name": name, "value": value} for name, value in record.headers]]
            for number in range(2)
            for record in log.partition("orders", number).records()
        ]


@pytest.mark.parametrize("kind", ["parquet", "arrow"])
def test_a_table_holds_what_the_records_do(orders: CommandLine, tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"orders.{kind}"
    assert "6 records of orders" in orders.output("export", "orders", "--to", path)
    found = table(path)
    assert found.schema.names == NAMES and found.schema.field("timestamp").type == pyarrow.timestamp("ms", tz="UTC")
    found = found.set_column(2, "timestamp", found.column("timestamp").cast("int64"))
    assert [list(row.values()) for row in found.to_pylist()] == expected(orders)


@pytest.mark.parametrize("kind", ["parquet", "arrow"])
def test_fields_of_json_are_columns(orders: CommandLine, tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"orders.{kind}"
    fields = ("--field", "total", "--field", "who", "--field", "more", "--field", "none")
    orders.output("export", "orders", "--to", path, *fields, "--partition", "1")
    rows = table(path).select(["total", "who", "more", "none"]).to_pylist()
    nothing = {"total": None, "who": None, "more": None, "none": None}
    assert rows == [{"total": "1.5", "who": "a,\n", "more": "[1, true]", "none": None}, nothing, nothing]


def test_json_lines_are_restored_by_produce(orders: CommandLine, tmp_path: Path) -> None:
    path = tmp_path / "orders.jsonl"
    orders.output("export", "orders", "--to", path, "--field", "total")
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line.pop("fields") for line in lines] == [{"total": 1.5}, {"total": None}, {"total": None}] * 2
    assert lines == orders.objects("consume", "orders", "--json")
    orders.output("produce", "copy", path, "--create", "--format", "json", "--any-time")
    with eventlog.open(orders.store) as log:
        assert [record[3:6] for record in log.partition("copy", 0).records()] == [tuple(row[2:5]) for row in expected(orders)]


def test_csv_has_a_header_and_a_row_for_each_record(orders: CommandLine, tmp_path: Path) -> None:
    path = tmp_path / "orders.csv"
    orders.output("export", "orders", "--to", path, "--field", "total", "--field", "who", "--field", "more")
    with path.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert list(rows[0]) == [*NAMES, "total", "who", "more"] and len(rows) == 6
    assert rows[0]["timestamp"] == "1970-01-01T00:00:01.000Z" and rows[0]["headers"] == '[["h", "1"], ["h", null]]'
    assert [rows[0][name] for name in ("total", "who", "more")] == ["1.5", "a,\n", "[1, true]"]
    assert rows[1]["value"] == '{"base64": "/w=="}' and rows[2]["value"] == rows[1]["key"] == ""


@pytest.mark.parametrize("kind", ["parquet", "arrow", "csv", "jsonl"])
def test_times_and_offsets_select(orders: CommandLine, tmp_path: Path, kind: str) -> None:
    def count(*arguments: str) -> int:
        [summary] = orders.objects("export", "orders", "--to", tmp_path / f"out.{kind}", "--json", *arguments)
        return int(summary["records"])

    assert count("--from", "1970-01-01T00:00:02") == 4
    assert count("--from", "1970-01-01T00:00:02", "--until", "1970-01-01T00:00:03") == 2
    assert count("--partition", "0", "--from", "1", "--until", "2") == 1
    assert count("--from", "1970-01-02") == 0


def test_an_empty_topic_is_a_table_without_rows(cli: CommandLine, tmp_path: Path) -> None:
    cli.output("topics", "create", "empty")
    cli.output("export", "empty", "--to", tmp_path / "empty.parquet")
    found = table(tmp_path / "empty.parquet")
    assert found.schema.names == NAMES and found.num_rows == 0


def test_a_file_that_is_there_is_replaced_by_a_whole_one_or_not_at_all(orders: CommandLine, tmp_path: Path) -> None:
    path = tmp_path / "orders.jsonl"
    path.write_text("before")
    with eventlog.open(orders.store) as log:
        segment = next(Path(log.partition("orders", 1).directory).glob("*.log"))
    data = bytearray(segment.read_bytes())
    data[70] ^= 1
    segment.write_bytes(data)
    orders.error("export", "orders", "--to", path)
    assert path.read_text() == "before"
    assert not [name for name in os.listdir(tmp_path) if "partial" in name]
    orders.output("export", "orders", "--to", path, "--partition", "0")
    assert len(path.read_text().splitlines()) == 3


@pytest.mark.parametrize(
    "arguments",
    [("--to", "orders.xlsx"), ("--to", "a"), ("--to", "a.csv", "--field", "key"), ("--to", "a.csv", *["--field", "a"] * 2)],
)
def test_wrong_usage_writes_nothing(orders: CommandLine, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    before = os.listdir(tmp_path)
    orders.error("export", "orders", *arguments, status=2)
    assert os.listdir(tmp_path) == before


def test_a_format_that_is_given_goes_before_the_name(orders: CommandLine, tmp_path: Path) -> None:
    orders.output("export", "orders", "--to", tmp_path / "data", "--format", "jsonl")
    assert len((tmp_path / "data").read_text().splitlines()) == 6
