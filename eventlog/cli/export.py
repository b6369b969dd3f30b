"""`eventlog export`: write a topic to a file that other programs read."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from eventlog.cli import output
from eventlog.cli.files import FORMATS, csv_line, whole_file
from eventlog.cli.parsing import Start, start_type, stop_type
from eventlog.cli.selection import Selection, Span
from eventlog.cli.spelling import narrow
from eventlog.cli.store import open_store

if TYPE_CHECKING:
    from eventlog import Record

_COLUMNS = ("partition", "offset", "timestamp", "key", "value", "headers")
_GROUP_BYTES = 32 * 2**20  # of records that wait to be written as one row group


@click.command()
@click.argument("topic")
@click.option("--to", "target", metavar="FILE", required=True, type=click.Path(path_type=Path), help="The file to write.")
@click.option("--format", "kind", type=click.Choice(FORMATS), show_default="by FILE's name", help="Format of the file.")
@click.option("--from", "start", metavar="OFFSET|TIME", type=start_type, help="Only records from here on.")
@click.option("--until", "stop", metavar="OFFSET|TIME", type=stop_type, help="Only records before this.")
@click.option("-p", "--partition", "partitions", type=click.IntRange(min=0), multiple=True, help="Only this partition.")
@click.option("--field", "fields", multiple=True, metavar="NAME", help="A column for this field of JSON values.")
@output.json_option
def export(
    topic: str,
    target: Path,
    kind: str | None,
    start: Start | None,
    stop: Start | None,
    partitions: tuple[int, ...],
    fields: tuple[str, ...],
    as_json: bool,
) -> None:
    """Write the records of TOPIC to a Parquet, Arrow, CSV or JSON Lines file.

    The file is written under another name, and renamed when it is whole.

    \b
    Example:
      eventlog export orders --to orders.parquet --from 2026-11-01
      eventlog export orders --to orders.csv --field customer --field total
    """
    kind = kind or target.suffix.removeprefix(".").lower()
    if kind not in FORMATS:
        raise click.UsageError(f"{target} does not end in {', '.join('.' + each for each in FORMATS)}: use --format")
    for name in fields:
        if name in _COLUMNS or fields.count(name) > 1:
            raise click.UsageError(f"there would be two columns with the name {name!r}")
    topic, numbers = narrow(topic, partitions)
    selection = Selection(numbers, start, stop, None, (), (), None, False, None, False)
    write = _write_table if kind in ("parquet", "arrow") else _write_text
    with open_store() as log:
        spans = selection.spans(selection.open_partitions(log, topic))
        with whole_file(target) as stream:
            records = write(stream, kind, selection, spans, fields)
    if as_json:
        output.write_json({"topic": topic, "path": str(target), "format": kind, "records": records})
    else:
        output.write_line(f"{output.count_text(records)} records of {topic} written to {target}")


# --- text ------------------------------------------------------------------------------------------------


def _write_text(stream: IO[bytes], kind: str, selection: Selection, spans: list[Span], fields: tuple[str, ...]) -> int:
    line = _csv_line(fields) if kind == "csv" else _json_line(fields)
    if kind == "csv":
        stream.write(csv_line([*_COLUMNS, *fields]))
    count = 0
    for span in spans:
        for record in selection.records(span):
            stream.write(line(record))
            count += 1
    return count


def _json_line(fields: tuple[str, ...]) -> Callable[[Record], bytes]:
    def line(record: Record) -> bytes:
        named = {"fields": _fields_of(record.value, fields)} if fields else {}
        return output.json_text({**output.record_object(record), **named}).encode("utf-8", "backslashreplace") + b"\n"

    return line


def _csv_line(fields: tuple[str, ...]) -> Callable[[Record], bytes]:
    def line(record: Record) -> bytes:
        found = output.record_object(record)
        cells = [found["partition"], found["offset"], output.time_text(record.timestamp), found["key"], found["value"]]
        cells += [found["headers"], *_fields_of(record.value, fields).values()]
        return csv_line(cells)

    return line


def _fields_of(value: bytes | None, fields: tuple[str, ...]) -> dict[str, Any]:
    """The members of the JSON object in a value; None where there is none."""
    if not fields:
        return {}
    try:
        found = json.loads(value or b"null")
    except (ValueError, RecursionError):
        found = None
    return {name: found.get(name) if isinstance(found, dict) else None for name in fields}


# --- tables ----------------------------------------------------------------------------------------------


def _write_table(stream: IO[bytes], kind: str, selection: Selection, spans: list[Span], fields: tuple[str, ...]) -> int:
    from eventlog.records.columns import library

    arrow, parquet = library("pyarrow"), library("pyarrow.parquet")
    schema = _schema(arrow, fields)
    make = parquet.ParquetWriter if kind == "parquet" else arrow.ipc.new_file
    count, waiting, size_bytes = 0, [], 0
    with make(stream, schema) as writer:
        for batch in _batches(arrow, schema, selection, spans, fields):
            waiting.append(batch)
            size_bytes += batch.nbytes
            count += batch.num_rows
            if size_bytes > _GROUP_BYTES:
                writer.write_table(arrow.Table.from_batches(waiting, schema))
                waiting, size_bytes = [], 0
        if waiting:
            writer.write_table(arrow.Table.from_batches(waiting, schema))
    return count


def _schema(arrow: Any, fields: tuple[str, ...]) -> Any:
    pair = arrow.struct([("name", arrow.large_string()), ("value", arrow.large_binary())])
    types = (
        arrow.int32(), arrow.int64(), arrow.timestamp("ms", tz="UTC"), arrow.large_binary(), arrow.large_binary(),
        arrow.large_list(pair),
    )  # fmt: skip
    return arrow.schema([*zip(_COLUMNS, types, strict=True), *((name, arrow.large_string()) for name in fields)])


def _batches(arrow: Any, schema: Any, selection: Selection, spans: list[Span], fields: tuple[str, ...]) -> Iterator[Any]:
    limits = (selection.start, selection.stop)
    since, until = (limit.number if limit is not None and limit.kind == "time" else None for limit in limits)
    for partition, first, stop in spans:
        if first >= stop:
            continue
        for columns in partition.columns(first, stop, headers=True, since=since, until=until):
            columns.partition = partition.partition
            batch = columns.arrow()
            rows = [_fields_of(None if value is None else bytes(value), fields) for value in columns.values] if fields else []
            more = [arrow.array([_text(row[name]) for row in rows], arrow.large_string()) for name in fields]
            yield arrow.RecordBatch.from_arrays([*batch.columns, *more], schema=schema)


def _text(found: Any) -> Any:
    """A field as a column of text has it: text as it is, all else as JSON."""
    if found is None or isinstance(found, str):
        return found
    return json.dumps(found, ensure_ascii=False)
