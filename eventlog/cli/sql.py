"""`eventlog sql`: query topics with DuckDB."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from types import FrameType
from typing import IO, Any

import click

from eventlog.cli import output
from eventlog.cli.files import FORMATS
from eventlog.cli.parsing import time_type
from eventlog.cli.sql_results import Result, write_csv, write_file, write_json, write_table
from eventlog.cli.sql_tables import COLUMNS, Tables
from eventlog.cli.store import open_store
from eventlog.records.columns import library

_INTERRUPT_SECONDS = 0.05


@click.command()
@click.argument("query", required=False)
@click.option("--file", "source", metavar="FILE", type=click.File("rb"), help="Take the query from FILE.")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV instead of a table.")
@click.option("--to", "target", metavar="FILE", type=click.Path(path_type=Path), help="Write the rows to this file.")
@click.option("--from", "since", metavar="TIME", type=time_type, help="Only records from this time on.")
@click.option("--until", metavar="TIME", type=time_type, help="Only records before this time.")
@click.option("--field", "fields", multiple=True, metavar="NAME", help="A column for this field of JSON values.")
@click.option("--binary", "is_binary", is_flag=True, help="Keys and values as BLOB, instead of as text.")
@output.json_option
def sql(
    query: str | None,
    source: IO[bytes] | None,
    as_csv: bool,
    target: Path | None,
    since: int | None,
    until: int | None,
    fields: tuple[str, ...],
    is_binary: bool,
    as_json: bool,
) -> None:
    """Query topics with DuckDB: each is a table.

    The columns are partition, offset, timestamp, key, value and headers. Without QUERY, it is read from
    standard input. The store is only read, whatever the query says.

    \b
    Example:
      eventlog sql 'select key, count(*) from orders group by key'
      eventlog sql "select sum((value->>'total')::double) from orders"
      eventlog sql 'from orders' --from 7d --field total --to orders.parquet
    """
    kind = _format(target)
    if as_csv and (as_json or target):
        raise click.UsageError("--csv is one of several ways to show the rows: leave out --json and --to")
    for name in fields:
        if name in COLUMNS or fields.count(name) > 1:
            raise click.UsageError(f"there would be two columns with the name {name!r}")
    text = _query(query, source)
    duckdb = _library()
    with open_store(read_only=True) as log, _Session(duckdb) as session:
        tables = Tables(session.connection, log, since=since, until=until, is_binary=is_binary, fields=fields)
        write = write_json if as_json else write_csv if as_csv else write_table
        for result in session.results(text, tables, is_single=target is not None):
            if target is not None:
                _write_only(result, target, kind, as_json)
            else:
                write(result)
            output.flush()


def _format(target: Path | None) -> str:
    kind = target.suffix.removeprefix(".").lower() if target is not None else ""
    if target is not None and kind not in FORMATS:
        raise click.UsageError(f"{target} does not end in {', '.join('.' + each for each in FORMATS)}")
    return kind


def _query(query: str | None, source: IO[bytes] | None) -> str:
    if query is not None and source is not None:
        raise click.UsageError("the query is given twice: as an argument, and by --file")
    if source is not None:
        text = _text(source)
    elif query is not None and query != "-":
        text = query
    elif query is None and os.isatty(0):
        raise click.UsageError("Missing argument 'QUERY'")
    else:
        with open(0, "rb", closefd=False) as standard_input:
            text = _text(standard_input)
    if not text.strip():
        raise click.UsageError("the query is empty")
    return text


def _text(source: IO[bytes]) -> str:
    try:
        return source.read().decode("utf-8")
    except UnicodeDecodeError as error:
        raise click.ClickException(f"the query is not UTF-8: {error}") from None


def _library() -> Any:
    try:
        import duckdb
        import pyarrow  # noqa: F401  the rows come by it
    except ImportError as error:
        raise click.ClickException(f"{error.name} is needed here: pip install 'eventlog-store[sql]'") from error
    return duckdb


def _write_only(result: Result, target: Path, kind: str, as_json: bool) -> None:
    rows = write_file(result, target, kind)
    if as_json:
        output.write_json({"path": str(target), "format": kind, "rows": rows})
    else:
        output.write_line(f"{output.count_text(rows)} rows written to {target}")


class _Session:
    """A database in memory, and the thread that uses it, so that Ctrl-C can end a query."""

    def __init__(self, duckdb: Any) -> None:
        self._duckdb = duckdb
        self._thread = ThreadPoolExecutor(1)
        self._is_interrupted = False
        # A name in a query means a table, never a variable of this program.
        self.connection = duckdb.connect(":memory:", config={"python_enable_replacements": "false"})
        self.connection.execute("set timezone = 'UTC'")

    def __enter__(self) -> _Session:
        self._handler = signal.getsignal(signal.SIGINT)
        if callable(self._handler):  # else it is ignored, as in the background of a script
            signal.signal(signal.SIGINT, self._interrupt)
        return self

    def __exit__(self, *_: object) -> None:
        """End what still runs after an interrupt, which may have come at any moment, also before DuckDB began the query."""
        if callable(self._handler):
            signal.signal(signal.SIGINT, self._handler)
        is_idle = self._thread.submit(bool)
        while not wait([is_idle], _INTERRUPT_SECONDS).done:
            self.connection.interrupt()
        self._thread.shutdown()
        self.connection.close()

    def results(self, text: str, tables: Tables, *, is_single: bool) -> Iterator[Result]:
        """The result of each statement that has rows, of which there must be one if `is_single`. Raises click.ClickException,
        with what DuckDB says."""
        try:
            statements = self.connection.extract_statements(text)
            if is_single and sum(map(self._has_rows, statements)) != 1:
                raise click.ClickException("a file takes the rows of one query: give one statement that has rows")
            tables.create(text)
            for statement in statements:
                result = self._in_thread(self._run, statement)
                if result is not None:
                    yield result
        except self._duckdb.Error as error:
            message = str(error).partition("\n\nLINE ")[0]
            hint = tables.hint(message, text)
            if hint:
                message = message.partition("\nDid you mean")[0].rstrip("!") + hint
            raise click.ClickException(message) from None

    def _has_rows(self, statement: Any) -> bool:
        """Does it have rows of its own? Others have the number of rows that they changed."""
        is_several = statement.type == self._duckdb.StatementType.MULTI  # PIVOT, whose rows are the last one's
        return is_several or bool(statement.expected_result_type == [self._duckdb.ExpectedResultType.QUERY_RESULT])

    def _run(self, statement: Any) -> Result | None:
        relation = self.connection.sql(statement.query)
        if relation is None or not self._has_rows(statement):
            return None
        reader = library("pyarrow").RecordBatchReader.from_stream(relation)
        return Result(reader.schema, self._batches(reader))

    def _batches(self, reader: Any) -> Iterator[Any]:
        while (batch := self._in_thread(next, reader, None)) is not None:
            yield batch

    def _in_thread(self, function: Any, *arguments: Any) -> Any:
        future = self._thread.submit(function, *arguments)
        while not wait([future], _INTERRUPT_SECONDS).done:
            if self._is_interrupted:  # and the exception was lost in a destructor
                raise KeyboardInterrupt
        return future.result()

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        self._is_interrupted = True
        raise KeyboardInterrupt
