"""`eventlog sql`."""

from __future__ import annotations

import csv
import json
import signal
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

import eventlog
from tests.cli.command_line import CommandLine
from tests.unit.test_read_only import state

COLUMNS = ["partition", "offset", "timestamp", "key", "value", "headers"]


@pytest.fixture
def orders(cli: CommandLine) -> CommandLine:
    """A topic of two partitions with JSON, bytes that are not text, a null, and headers; at 1000, 2000 and 3000 ms in each."""
    with eventlog.open(cli.store) as log:
        log.create_topic("orders", partitions=2)
        for number in range(2):
            log.partition("orders", number).append_many(
                [b'{"total": 1.5, "who": "a"}', b"\xff", None],
                keys=[b"k", None, b"\xfe"],
                headers=[[("h", b"1"), ("h", None)], None, None],
                timestamps=[1000, 2000, 3000],
            )
        for topic in ("my-orders.v2", "Mixed", "mixed"):
            log.create_topic(topic)
            log.partition(topic, 0).append(topic.encode())
    return cli


def test_a_topic_is_a_table_with_the_columns_of_its_records(orders: CommandLine) -> None:
    rows = orders.objects("sql", 'from orders order by "partition", "offset"', "--json")
    assert [list(row) for row in rows] == [COLUMNS] * 6
    assert rows[0] == {
        "partition": 0, "offset": 0, "timestamp": 1000, "key": "k", "value": '{"total": 1.5, "who": "a"}',
        "headers": [{"name": "h", "value": "1"}, {"name": "h", "value": None}],
    }  # fmt: skip
    assert (rows[4]["key"], rows[4]["value"], rows[5]["key"], rows[5]["value"]) == (None, "\\xFF", "\\xFE", None)


def test_binary_columns_are_the_bytes(orders: CommandLine) -> None:
    rows = orders.objects("sql", "select value, typeof(key) as type from orders where partition = 0", "--binary", "--json")
    assert [row["value"] for row in rows[1:]] == [{"base64": "/w=="}, None] and rows[0]["type"] == "BLOB"


def test_fields_of_json_are_reached(orders: CommandLine) -> None:
    query = "select sum((value->>'total')::double) as total from orders where json_valid(value)"
    assert orders.objects("sql", query, "--json") == [{"total": 3.0}]
    query = "select total, who, none from orders where partition = 1"
    fields = ("--field", "total", "--field", "who", "--field", "none")
    nothing = {"total": None, "who": None, "none": None}
    assert orders.objects("sql", query, *fields, "--json") == [{"total": "1.5", "who": "a", "none": None}, nothing, nothing]


def test_a_field_may_have_any_name(cli: CommandLine) -> None:
    name = "a\"b'c.d\\e"
    with eventlog.open(cli.store) as log:
        log.create_topic("odd")
        log.partition("odd", 0).append(json.dumps({name: [1]}).encode())
    [row] = cli.objects("sql", "from odd", "--field", name, "--json")
    assert row[name] == "[1]"


def test_a_name_with_dots_or_dashes_is_quoted(orders: CommandLine) -> None:
    assert orders.objects("sql", 'select value from "my-orders.v2"', "--json") == [{"value": "my-orders.v2"}]
    assert '"my-orders.v2"' in orders.error("sql", "select value from my-orders.v2")


def test_names_that_differ_only_in_case(orders: CommandLine) -> None:
    assert orders.objects("sql", "select value from Mixed", "--json") == [{"value": "Mixed"}]
    assert orders.objects("sql", "select value from mixed", "--json") == [{"value": "mixed"}]
    assert "Mixed" in orders.error("sql", "select value from MIXED")
    assert orders.objects("sql", "select count(*) as n from ORDERS", "--json") == [{"n": 6}]


def test_only_topics_that_the_query_names_are_read(orders: CommandLine) -> None:
    damage(orders, "mixed", 0)
    assert orders.objects("sql", "select count(*) as n from orders", "--json") == [{"n": 6}]
    assert "mixed" in orders.error("sql", "select max(value) from mixed")


def test_a_topic_is_a_table_as_often_as_the_query_names_it(orders: CommandLine) -> None:
    query = 'select count(*) as n from orders join orders as others using ("partition", "offset")'
    assert orders.objects("sql", query, "--json") == [{"n": 6}]


def test_times_select(orders: CommandLine) -> None:
    def count(*limits: str) -> int:
        [row] = orders.objects("sql", "select count(*) as n from orders", "--json", *limits)
        return int(row["n"])

    assert count("--from", "1970-01-01T00:00:02") == 4
    assert count("--from", "1970-01-01T00:00:02", "--until", "1970-01-01T00:00:03") == 2
    assert count("--from", "1970-01-02") == 0


def test_a_table_is_aligned(orders: CommandLine) -> None:
    query = "select partition, key, timestamp, true as good, [1, null] as list from orders where \"offset\" = 0 order by all"
    assert orders.output("sql", query) == (
        "partition  key  timestamp                 good  list\n"
        "        0  k    1970-01-01T00:00:01.000Z  true  [1, null]\n"
        "        1  k    1970-01-01T00:00:01.000Z  true  [1, null]\n"
    )


def test_a_result_without_rows_has_its_heading(orders: CommandLine) -> None:
    query = "select key, value from orders where false"
    assert orders.output("sql", query) == "key  value\n"
    assert orders.output("sql", query, "--csv") == "key,value\r\n"
    assert orders.output("sql", query, "--json") == ""


def test_more_rows_than_a_table_is_aligned_for(cli: CommandLine) -> None:
    cli.output("topics", "create", "empty")
    lines = cli.output("sql", "select * from range(2500)").splitlines()
    numbers = [line.strip() for line in lines]
    assert numbers.count("range") == 3 and [int(line) for line in numbers if line != "range"] == list(range(2500))


def test_csv_has_a_line_of_names(orders: CommandLine) -> None:
    printed = orders.output("sql", 'from orders order by "partition", "offset"', "--csv")
    rows = list(csv.DictReader(StringIO(printed, newline="")))
    assert list(rows[0]) == COLUMNS and len(rows) == 6
    assert (rows[0]["timestamp"], rows[0]["value"]) == ("1970-01-01T00:00:01.000Z", '{"total": 1.5, "who": "a"}')
    assert (rows[1]["key"], rows[1]["headers"], rows[2]["value"]) == ("", "[]", "")


@pytest.mark.parametrize("kind", ["parquet", "arrow", "csv", "jsonl"])
def test_rows_go_to_a_file(orders: CommandLine, tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"totals.{kind}"
    query = 'select "partition", count(*) as n from orders group by all order by all'
    assert orders.objects("sql", query, "--to", path, "--json") == [{"path": str(path), "format": kind, "rows": 2}]
    if kind in ("csv", "jsonl"):
        wanted = "partition,n\r\n0,3\r\n1,3\r\n" if kind == "csv" else '{"partition": 0, "n": 3}\n{"partition": 1, "n": 3}\n'
        assert path.read_bytes().decode() == wanted
        return
    table = pyarrow.parquet.read_table(path) if kind == "parquet" else pyarrow.ipc.open_file(path).read_all()
    assert table.to_pylist() == [{"partition": 0, "n": 3}, {"partition": 1, "n": 3}]


def test_a_file_is_not_written_if_the_query_fails(orders: CommandLine, tmp_path: Path) -> None:
    before = list(tmp_path.iterdir())
    assert "Could not convert" in orders.error("sql", "select value::int from orders", "--to", tmp_path / "out.csv")
    assert "one query" in orders.error("sql", "select 1; select 2", "--to", tmp_path / "out.csv")
    assert list(tmp_path.iterdir()) == before


def test_the_query_comes_from_standard_input_or_a_file(orders: CommandLine, tmp_path: Path) -> None:
    query = "select count(*) as n from orders;\n"
    (tmp_path / "query.sql").write_text(query)
    assert orders.objects("sql", "--json", stdin=query.encode()) == [{"n": 6}]
    assert orders.objects("sql", "--json", "-", stdin=query.encode()) == [{"n": 6}]
    assert orders.objects("sql", "--json", "--file", "query.sql") == [{"n": 6}]


def test_each_statement_that_has_rows_shows_them(orders: CommandLine) -> None:
    query = "create table t as select partition as p from orders; select count(*) as n from t; "
    query += "insert into t values (7); from t where p = 7"
    assert orders.objects("sql", query, "--json") == [{"n": 6}, {"p": 7}]
    assert orders.objects("sql", "pivot orders on partition using count(*)", "--json") != []


def test_columns_of_one_name_are_told_apart(orders: CommandLine) -> None:
    assert orders.objects("sql", "select 1 as a, 2 as a, 3 as a_1", "--json") == [{"a": 1, "a_1": 2, "a_1_1": 3}]


def test_values_that_json_does_not_know(orders: CommandLine) -> None:
    query = "select 'nan'::double as a, sum(2::hugeint) as b, 1.50::decimal(5,2) as c, date '2026-11-01' as d, "
    [row] = orders.objects("sql", query + "interval 1 day as e, map {'x': 1} as f, '\\xFF'::blob as g", "--json")
    assert [row[name] for name in "abcd"] == ["nan", 2, 1.5, "2026-11-01"]
    assert (row["e"], row["g"]) == ({"months": 0, "days": 1, "nanoseconds": 0}, {"base64": "/w=="})


def test_offsets_and_groups_are_tables(shop: CommandLine) -> None:
    query = "select o.topic, g.committed, g.lag, o.end_offset from eventlog_groups g join eventlog_offsets o "
    query += "using (topic, partition)"
    assert shop.objects("sql", query, "--json") == [{"topic": "orders", "committed": 1, "lag": 2, "end_offset": 3}]


def test_topics_are_listed(orders: CommandLine) -> None:
    names = {row["name"] for row in orders.objects("sql", "show tables", "--json")}
    assert names >= {"orders", "my-orders.v2", "eventlog_offsets", "eventlog_groups"}
    described = orders.objects("sql", "describe orders", "--json")
    assert [row["column_name"] for row in described] == COLUMNS


def test_a_plan_is_shown_as_it_is(orders: CommandLine) -> None:
    plan = orders.output("sql", "explain from orders")
    assert "\n" in plan.strip() and "\\n" not in plan


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("selct 1", "syntax error"),
        ("select nothing from orders", "nothing"),
        ("from ordrs", "did you mean orders?"),
        ("from nowhere", "nowhere"),
        ("select 'a'::int", "convert"),
        ("from log", "log"),  # a variable of this program is no table
    ],
)
def test_what_duckdb_says_is_one_line_of_error(orders: CommandLine, query: str, told: str) -> None:
    assert told in orders.error("sql", query)


@pytest.mark.parametrize(
    "arguments",
    [
        (), ("select 1", "--file", __file__), ("select 1", "--csv", "--json"), ("select 1", "--to", "out.xlsx"), (" ",),
        ("select 1", "--field", "key"), ("select 1", "--field", "a", "--field", "a"),
    ],
)  # fmt: skip
def test_wrong_usage(orders: CommandLine, arguments: tuple[str, ...]) -> None:
    orders.error("sql", *arguments, status=2)


def test_the_store_is_not_changed(orders: CommandLine) -> None:
    before = state(orders.store)
    orders.output("sql", "select count(*) from orders")
    orders.error("sql", "delete from orders")
    assert state(orders.store) == before


def test_damage_ends_it_with_what_is_damaged(orders: CommandLine) -> None:
    damage(orders, "orders", 1)
    assert "orders-1" in orders.error("sql", "select max(value) from orders")


def test_ctrl_c_ends_a_query(orders: CommandLine) -> None:
    process = orders.start("sql", "select 1 as a; select sum(range::double) from range(1000000000000)", "--json")
    assert process.stdout is not None
    assert process.stdout.readline() == b'{"a": 1}\n'
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=60) == (b"", b"")
    assert process.returncode == 130


def test_without_duckdb_the_error_names_the_extra(orders: CommandLine) -> None:
    program = "import sys; sys.modules['duckdb'] = None; from eventlog.cli import main; main(['sql', 'select 1'])"
    done = subprocess.run([sys.executable, "-c", program], env=orders.environment(), capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr == "eventlog: duckdb is needed here: pip install 'eventlog-store[sql]'\n"


def damage(command_line: CommandLine, topic: str, partition: int) -> None:
    with eventlog.open(command_line.store) as log:
        segment = next(Path(log.partition(topic, partition).directory).glob("*.log"))
    data = bytearray(segment.read_bytes())
    data[70] ^= 1
    segment.write_bytes(data)
