"""polars, pandas, pyarrow and DuckDB take columns by Arrow's PyCapsule protocol, without a library in between."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

import eventlog
from eventlog import EventLog

TIME = datetime(2026, 11, 1, 12, tzinfo=timezone.utc)
RECORDS = 20_000


def library(name: str) -> Any:
    """A library that `make interop` installs."""
    if os.environ.get("EVENTLOG_REQUIRE_SERVERS"):
        return __import__(name)
    return pytest.importorskip(name)


@pytest.fixture
def log(tmp_path: Path) -> Iterator[EventLog]:
    """A log with a topic of two partitions with keys, nulls and headers, in compressed and uncompressed batches."""
    totals = range(RECORDS // 4)
    with eventlog.open(tmp_path / "store") as log:
        log.create_topic("orders", partitions=2)
        for number in range(2):
            for codec in ("none", "gzip"):
                log.partition("orders", number).append_many(
                    [b'{"total": %d}' % total if total % 10 else None for total in totals],
                    keys=[b"k%d" % (total % 7) if total % 3 else None for total in totals],
                    headers=[[("trace", b"%d" % total), ("none", None)] if total % 2 else None for total in totals],
                    timestamps=[TIME] * (RECORDS // 4),
                    compression=codec,
                )
        yield log


def expected(log: EventLog) -> list[tuple[Any, ...]]:
    return [
        (
            record.partition, record.offset, TIME, record.key, record.value,
            [{"name": name, "value": value} for name, value in record.headers],
        )
        for number in range(2)
        for record in log.partition("orders", number).records()
    ]  # fmt: skip


def test_polars(log: EventLog) -> None:
    polars = library("polars")
    frame = polars.DataFrame(log.columns("orders", headers=True))
    assert frame.rows() == expected(log)
    totals = polars.DataFrame(log.columns("orders")).select(polars.col("value").bin.size().sum())
    assert totals.item() == sum(len(row[4] or b"") for row in expected(log))
    batch = next(log.partition("orders", 0).columns(0, 10))
    assert polars.DataFrame(batch)["offset"].to_list() == list(range(10))


def test_pandas(log: EventLog) -> None:
    pandas = library("pandas")
    frame = pandas.DataFrame.from_arrow(log.columns("orders"))
    assert len(frame) == RECORDS and frame["partition"].tolist() == [row[0] for row in expected(log)]
    assert frame["timestamp"].unique().tolist() == [TIME]
    assert frame.groupby("partition")["offset"].max().tolist() == [RECORDS // 2 - 1] * 2


def test_pyarrow(log: EventLog) -> None:
    pyarrow = library("pyarrow")
    table = pyarrow.table(log.columns("orders", headers=True))
    table.validate(full=True)
    assert list(zip(*(column.to_pylist() for column in table.columns), strict=True)) == expected(log)


def test_duckdb(log: EventLog) -> None:
    duckdb = library("duckdb")
    orders = log.columns("orders", headers=True)
    with duckdb.connect() as connection:
        connection.register("orders", orders)
        connection.execute("set timezone = 'UTC'")
        found = connection.execute('select * from orders order by partition, "offset"').fetchall()
        assert [(*row[:2], row[2].replace(tzinfo=timezone.utc), *row[3:]) for row in found] == expected(log)
        twice = "select count(*) from orders a join orders b using (partition, \"offset\") where a.key = 'k1'::blob"
        assert connection.execute(twice).fetchall() == [(sum(row[3] == b"k1" for row in expected(log)),)]
