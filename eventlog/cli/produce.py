"""`eventlog produce`: append what files or a pipe hold."""

from __future__ import annotations

import contextlib
import os
import re
import stat
import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any, BinaryIO, NamedTuple

import click

from eventlog.cli import output
from eventlog.cli.csv_rows import KINDS, csv_records
from eventlog.cli.envelopes import envelope_records
from eventlog.cli.event_times import UNITS
from eventlog.cli.inputs import BadInputError, blocks_of, lines_of, open_input
from eventlog.cli.json_arrays import array_records
from eventlog.cli.producing import Topic, Writer
from eventlog.cli.sources import Fields, Header, SourceRecord, check_guess, json_records, line_records
from eventlog.cli.spelling import narrow

_FORMATS = ("lines", "jsonl", "json", "array", "csv", "tsv")
_OF_FIELDS = ("jsonl", "array", "csv", "tsv")
_DELIMITERS = {"tab": "\t", "\\t": "\t"}


class _Format(NamedTuple):
    """How the input is to be read: the options that say so."""

    name: str | None
    fields: Fields
    separator: bytes | None
    delimiter: str
    types: dict[str, str]
    detects_types: bool
    has_partitions: bool

    def records(self, blocks: Iterator[bytes]) -> Iterator[SourceRecord]:
        """The records in these blocks. Raises `BadInputError`."""
        if self.name == "array":
            return array_records(blocks, self.fields)
        lines = lines_of(blocks)
        if self.name == "jsonl":
            return json_records(lines, self.fields)
        if self.name == "json":
            return envelope_records(lines, self.fields, has_partitions=self.has_partitions)
        if self.name in ("csv", "tsv"):
            return csv_records(lines, self.fields, self.delimiter, self.types, detects_types=self.detects_types)
        return line_records(lines if self.name or self.separator else _guessed(lines), self.fields, self.separator)


def _guessed(lines: Iterator[bytes]) -> Iterator[bytes]:
    for first in islice(lines, 1):
        check_guess(first)
        yield first
    yield from lines


def _header(context: click.Context, parameter: click.Parameter, texts: tuple[str, ...]) -> tuple[Header, ...]:
    headers: list[Header] = []
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise click.BadParameter(f"{text!r} is not NAME=VALUE", context, parameter)
        headers.append((name, value.encode("utf-8", "surrogateescape")))
    return tuple(headers)


def _types(context: click.Context, parameter: click.Parameter, texts: tuple[str, ...]) -> dict[str, str]:
    types = {}
    for text in texts:
        name, _, kind = text.rpartition("=")
        if not name or kind not in KINDS:
            raise click.BadParameter(f"{text!r} is not FIELD=KIND, where KIND is {', '.join(KINDS)}", context, parameter)
        types[name] = kind
    return types


def _delimiter(context: click.Context, parameter: click.Parameter, text: str | None) -> str | None:
    delimiter = _DELIMITERS.get(text or "", text)
    if delimiter is not None and (len(delimiter) != 1 or delimiter in '"\r\n'):
        raise click.BadParameter(f"{text!r} is neither one character nor 'tab'", context, parameter)
    return delimiter


_input_options = (
    click.option("--format", "name", type=click.Choice(_FORMATS), show_default="lines", help="Format of the input."),
    click.option("--key", "key_field", metavar="FIELD", help="Field of each JSON object or row that becomes the key."),
    click.option("--key-separator", metavar="TEXT", help="Each line is a key, TEXT, and a value."),
    click.option("--timestamp", "timestamp_field", metavar="FIELD", help="Field that says when the event happened."),
    click.option("--timestamp-unit", "unit", type=click.Choice(list(UNITS)), default="ms", help="Unit of numeric times."),
    click.option("--any-time", "is_any_time", is_flag=True, help="Take times before 1980, too."),
    click.option("--header", "headers", multiple=True, metavar="NAME=VALUE", callback=_header, help="Header of every record."),
    click.option("--header-field", "header_fields", multiple=True, metavar="FIELD", help="Field that becomes a header, too."),
    click.option("--tombstones", "has_tombstones", is_flag=True, help="A key without a value is a tombstone."),
    click.option("--delimiter", metavar="CHARACTER", callback=_delimiter, help="What separates fields of CSV; or 'tab'."),
    click.option("--type", "types", multiple=True, metavar="FIELD=KIND", callback=_types,
                 help="A field of CSV is a text, number, bool or json."),
    click.option("--detect-types", "detects_types", is_flag=True, help="Fields of CSV that look like numbers are numbers."),
    click.option("--keep-partitions", "has_partitions", is_flag=True, help="Records of --format json keep their partitions."),
)  # fmt: skip


def _with_input_options(command: Callable[..., None]) -> Callable[..., None]:
    for option in reversed(_input_options):
        command = option(command)
    return command


@click.command()
@click.argument("topic")
@click.argument("files", metavar="[FILE]...", nargs=-1)
@_with_input_options
@click.option("-p", "--partition", type=click.IntRange(min=0), help="Write everything to this partition.")
@click.option("--create", is_flag=True, help="Create the topic, with one partition, if it does not exist.")
@output.json_option
def produce(topic: str, files: tuple[str, ...], partition: int | None, create: bool, as_json: bool, **options: Any) -> None:
    """Append the records in the FILEs, or standard input, to TOPIC.

    lines: every line is a value. jsonl: every line must be JSON and is stored as it is. json: every line is a record, as
    'eventlog consume --json' prints it. array: every element of a JSON array is a value. csv, tsv: after a header line, every
    row becomes a JSON object. Files may be compressed by gzip or zstd.

    Without --partition, records with a key go where Kafka's clients would put them, and batches of records
    without a key go to the partitions in turn. Everything is on disk when the command ends.

    \b
    Example:
      eventlog produce orders orders.jsonl.gz --format jsonl --timestamp at
      tail -f access.log | eventlog produce access --create
      eventlog consume orders --json | eventlog produce copy --format json
    """
    topic, numbers = narrow(topic, () if partition is None else (partition,))
    if len(numbers) > 1:
        raise click.UsageError(f"several partitions of {topic} are named: name the topic, or one of them")
    input_format = _input_format(numbers, **options)
    names = files or ("-",)
    _check_names(names, input_format)
    for file in names:
        if file != "-":
            _check_beginning(file, input_format)
    with Topic(topic, numbers, is_created=create) as target:
        target.find()
        writer = Writer(target)
        _write(writer, names, input_format)
    _write_summary(topic, writer, as_json)


def _input_format(
    partitions: Sequence[int],
    *,
    name: str | None,
    key_field: str | None,
    key_separator: str | None,
    timestamp_field: str | None,
    unit: str,
    is_any_time: bool,
    headers: tuple[Header, ...],
    header_fields: tuple[str, ...],
    has_tombstones: bool,
    delimiter: str | None,
    types: dict[str, str],
    detects_types: bool,
    has_partitions: bool,
) -> _Format:
    """The options that say how the input is to be read. Raises click.UsageError for those that contradict each other."""
    of_fields = {"--key": key_field, "--timestamp": timestamp_field, "--header-field": header_fields}
    if (given := next((option for option, value in of_fields.items() if value), None)) and name not in _OF_FIELDS:
        raise click.UsageError(f"{given} needs fields: use --format jsonl, --format array or --format csv")
    of_csv = {"--delimiter": delimiter, "--type": types, "--detect-types": detects_types}
    if (given := next((option for option, value in of_csv.items() if value), None)) and name not in ("csv", "tsv"):
        raise click.UsageError(f"{given} is for CSV: use --format csv")
    if key_separator is not None and (name not in (None, "lines") or not key_separator):
        raise click.UsageError("--key-separator is a text that separates keys from values in --format lines")
    if has_tombstones and key_field is None and key_separator is None:
        raise click.UsageError("--tombstones needs keys: use --key or --key-separator (--format json has tombstones anyway)")
    if has_partitions and (name != "json" or partitions):
        raise click.UsageError("--keep-partitions needs --format json, and cannot be combined with --partition")
    fields = Fields(key_field, timestamp_field, unit, is_any_time, header_fields, headers, has_tombstones)
    separator = None if key_separator is None else key_separator.encode("utf-8", "surrogateescape")
    delimiter = delimiter or ("\t" if name == "tsv" else ",")
    return _Format(name, fields, separator, delimiter, types, detects_types, has_partitions)


def _check_names(files: tuple[str, ...], input_format: _Format) -> None:
    """Raise click.UsageError for a file whose name says that it does not hold plain lines."""
    for file in files if input_format.name is None else ():
        found = re.search(r"\.(csv|tsv)(\.gz|\.zst)?$", file, re.IGNORECASE)
        if found:
            kind = found[1].lower()
            raise click.UsageError(f"{file} seems to be {kind.upper()}: use --format {kind}, or --format lines for its lines")


def _check_beginning(file: str, input_format: _Format) -> None:
    """Raise what the first record of a file would raise, before anything is written of it or the files before it."""
    with open_input(file) as stream:
        if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
            return
        try:
            blocks = blocks_of(stream.fileno(), lambda: None, lambda size: None, takes_anything=input_format.name == "lines")
            next(input_format.records(blocks), None)
        except BadInputError as error:
            raise click.ClickException(f"{file}: {error} (0 records written)") from None


def _write(writer: Writer, files: tuple[str, ...], input_format: _Format) -> None:
    """Write all records of the files. On a bad line, everything before it is written."""
    name = ""
    try:
        with contextlib.ExitStack() as stack:
            streams = [(file, stack.enter_context(open_input(file))) for file in files]
            on_bytes = stack.enter_context(_progress([stream for _, stream in streams]))
            for file, stream in streams:
                name = "standard input" if file == "-" else file
                takes_anything = input_format.name == "lines"
                blocks = blocks_of(stream.fileno(), writer.append_all, on_bytes, takes_anything=takes_anything)
                for record in input_format.records(blocks):
                    writer.add(record)
        writer.flush()
    except BadInputError as error:
        writer.give_up()
        raise click.ClickException(f"{name}: {error} ({_count(writer.records)} written)") from None
    except KeyboardInterrupt:
        click.echo(f"eventlog: interrupted, {_count(writer.records)} written", err=True)
        raise


@contextlib.contextmanager
def _progress(streams: list[BinaryIO]) -> Iterator[Callable[[int], None]]:
    """Show a progress bar while files are read and standard error is a terminal; yield what counts bytes."""
    statuses = [os.fstat(stream.fileno()) for stream in streams]
    are_files = all(stat.S_ISREG(status.st_mode) for status in statuses)
    if not are_files or sys.stderr is None or not sys.stderr.isatty():
        yield lambda size_bytes: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=sum(status.st_size for status in statuses))
        yield lambda size_bytes: progress.update(task, advance=size_bytes)


def _write_summary(topic: str, writer: Writer, as_json: bool) -> None:
    rows: list[dict[str, Any]] = [
        {"partition": partition, **written._asdict()} for partition, written in sorted(writer.written.items())
    ]
    if as_json:
        for row in rows:
            output.write_json({"topic": topic, **row})
        return
    output.write_line(f"{_count(writer.records)} written to {topic}")
    if rows:
        output.write_table(["PARTITION", "RECORDS", "FIRST", "LAST"], [list(row.values()) for row in rows])


def _count(records: int) -> str:
    return "1 record" if records == 1 else f"{records} records"
