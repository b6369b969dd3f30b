"""What `eventlog sql` does with the rows of a result: a table, CSV or JSON Lines on standard output, or a file."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import IO, Any

from eventlog.cli import output
from eventlog.cli.files import csv_line, whole_file
from eventlog.records.columns import library

_TABLE_ROWS = 1000  # of which the widths of a table's columns are taken; after them come the next ones with a heading

Row = Sequence[Any]


class Result:
    """The rows of a query, read batch by batch: `schema` is Arrow's, `batches` are its record batches."""

    def __init__(self, schema: Any, batches: Iterator[Any]) -> None:
        self.schema = schema
        self.batches = batches

    @property
    def names(self) -> list[str]:
        """The names of the columns, each but once: DuckDB allows more."""
        names: list[str] = []
        for name in self.schema.names:
            again = (f"{name}_{number}" for number in range(1, len(self.schema.names) + 1))
            names.append(name if name not in names else next(each for each in again if each not in names))
        return names

    def rows(self, time_of: Callable[[int], Any]) -> Iterator[Row]:
        """The rows as values that JSON has, and points of time, given in milliseconds, as `time_of` shows them."""
        for batch in self.batches:
            columns = [_values(column, time_of) for column in batch.columns]
            yield from zip(*columns, strict=True)


def _values(column: Any, time_of: Callable[[int], Any]) -> list[Any]:
    """A point of time may be one that no calendar has, and is taken as a number; all else is plain Python."""
    unit = str(column.type).removeprefix("timestamp[")
    if unit.endswith("tz=UTC]"):
        scale = {"s": 1000, "ms": 1, "us": 1 / 1000, "ns": 1 / 1_000_000}[unit.partition(",")[0]]
        numbers = column.cast("int64").to_pylist()
        return [None if number is None else time_of(math.floor(number * scale)) for number in numbers]
    return [plain(value) for value in column.to_pylist()]


def plain(value: Any) -> Any:
    """A value of DuckDB as JSON has it; text for what JSON does not know."""
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() and value.as_tuple().exponent == 0 else float(value)
    if isinstance(value, bytes):
        return output.text_or_base64(value)
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    if isinstance(value, dict):
        return {str(name): plain(each) for name, each in value.items()}
    if isinstance(value, list):
        return [plain(each) for each in value]
    if hasattr(value, "nanoseconds"):  # an interval
        return {"months": value.months, "days": value.days, "nanoseconds": value.nanoseconds}
    return str(value)


def write_table(result: Result) -> None:
    """Print the rows as a table; a plan as the picture that it is."""
    if result.schema.names == ["explain_key", "explain_value"]:
        for _, plan in result.rows(int):
            for line in plan.splitlines():
                output.write_line(line)
        return
    rows = iter(result.rows(output.time_text))
    headers = [output.printable(name) for name in result.names]
    is_first = True
    while (chunk := list(islice(rows, _TABLE_ROWS))) or is_first:
        output.write_table(headers, [[_cell(value) for value in row] for row in chunk])
        is_first = False


def _cell(value: Any) -> Any:
    if isinstance(value, (dict, list)):
        return json.dumps(value, ensure_ascii=False)
    return str(value).lower() if isinstance(value, bool) else value


def write_csv(result: Result) -> None:
    """Print the rows as CSV, with a line of names."""
    for line in _csv_lines(result):
        output.standard_output().write(line)


def write_json(result: Result) -> None:
    """Print the rows as JSON Lines."""
    names = result.names
    for row in result.rows(int):
        output.write_json(dict(zip(names, row, strict=True)))


def write_file(result: Result, target: Path, kind: str) -> int:
    """Write the rows to a file; returns how many there were."""
    with whole_file(target) as stream:
        if kind in ("parquet", "arrow"):
            return _write_batches(result, stream, kind)
        lines = _csv_lines(result) if kind == "csv" else _json_lines(result)
        return _write_lines(lines, stream) - (kind == "csv")


def _csv_lines(result: Result) -> Iterator[bytes]:
    yield csv_line(result.names)
    yield from map(csv_line, result.rows(output.time_text))


def _json_lines(result: Result) -> Iterator[bytes]:
    names = result.names
    for row in result.rows(int):
        yield output.json_text(dict(zip(names, row, strict=True))).encode("utf-8", "backslashreplace") + b"\n"


def _write_lines(lines: Iterable[bytes], stream: IO[bytes]) -> int:
    count = 0
    for count, line in enumerate(lines, 1):  # noqa: B007
        stream.write(line)
    return count


def _write_batches(result: Result, stream: IO[bytes], kind: str) -> int:
    arrow, parquet = library("pyarrow"), library("pyarrow.parquet")
    make = parquet.ParquetWriter if kind == "parquet" else arrow.ipc.new_file
    count = 0
    with make(stream, result.schema) as writer:
        for batch in result.batches:
            writer.write_batch(batch)
            count += batch.num_rows
    return count
