"""`eventlog produce`: append what a file or a pipe holds."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import stat
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

import click

from eventlog.cli import output
from eventlog.cli.sources import (
    BadLineError,
    InputLines,
    SourceRecord,
    csv_records,
    json_records,
    line_records,
)
from eventlog.cli.spelling import narrow
from eventlog.cli.store import open_partitions, open_store
from eventlog.errors import RecordTooLargeError, TopicExistsError, TopicNotFoundError
from eventlog.records.partitioning import partition_for_key

if TYPE_CHECKING:
    from eventlog import EventLog, Partition

_BATCH_RECORDS = 1_000
# Kafka's default limit for a whole batch, max.message.bytes, is 1 MiB: half of it leaves room for keys and
# framing.
_BATCH_BYTES = 1 << 19


class _Written(NamedTuple):
    records: int
    first_offset: int
    last_offset: int


class _Batch:
    """The records that wait to be appended to one partition together."""

    def __init__(self) -> None:
        self.lines: list[int] = []
        self.keys: list[bytes | None] = []
        self.values: list[bytes] = []
        self.size_bytes = 0

    def add(self, record: SourceRecord) -> None:
        self.lines.append(record.line)
        self.keys.append(record.key)
        self.values.append(record.value)
        self.size_bytes += len(record.value) + len(record.key or b"")

    def is_full_with(self, record: SourceRecord) -> bool:
        size_bytes = self.size_bytes + len(record.value) + len(record.key or b"")
        return len(self.values) >= _BATCH_RECORDS or (bool(self.values) and size_bytes > _BATCH_BYTES)


class _Writer:
    """Gathers records into one batch a partition, appends them, and counts what was written.

    A record goes to the partition that was asked for, else to the one of its key. Records without a key fill
    one partition's batch after the other's; the first is chosen at random, or many short runs would all meet
    in one.
    """

    def __init__(self, partitions: list[Partition]) -> None:
        self._partitions = partitions
        self._batches = [_Batch() for _ in partitions]
        self._keyless = random.randrange(len(partitions))
        self.written: dict[int, _Written] = {}

    @property
    def records(self) -> int:
        return sum(written.records for written in self.written.values())

    def add(self, record: SourceRecord) -> None:
        index = self._index(record)
        if self._batches[index].is_full_with(record):
            self._append(index)
            index = self._index(record)
        self._batches[index].add(record)

    def _index(self, record: SourceRecord) -> int:
        if len(self._partitions) == 1:
            return 0
        if record.key is None:
            return self._keyless
        return partition_for_key(record.key, len(self._partitions))

    def append_all(self) -> None:
        """Append what waits, so that others see it."""
        for index, batch in enumerate(self._batches):
            if batch.values:
                self._append(index)

    def flush(self) -> None:
        """Append what waits and put it on disk."""
        self.append_all()
        for partition in self._partitions:
            if partition.partition in self.written:
                partition.flush()

    def _append(self, index: int) -> None:
        batch, self._batches[index] = self._batches[index], _Batch()
        if index == self._keyless:
            self._keyless = (index + 1) % len(self._partitions)
        try:
            self._append_together(index, batch.values, batch.keys)
        except RecordTooLargeError:
            # Too large together, or is a single record? Appending one by one finds it, and writes all that come before it.
            self._append_singly(index, batch)

    def _append_singly(self, index: int, batch: _Batch) -> None:
        for line, key, value in zip(batch.lines, batch.keys, batch.values, strict=True):
            try:
                self._append_together(index, [value], [key])
            except RecordTooLargeError as error:
                raise BadLineError(line, str(error)) from None

    def _append_together(self, index: int, values: list[bytes], keys: list[bytes | None]) -> None:
        partition = self._partitions[index]
        has_keys = any(key is not None for key in keys)
        with _interrupts_wait():
            offsets = partition.append_many(values, keys=keys if has_keys else None)
            before = self.written.get(partition.partition)
            self.written[partition.partition] = _Written(
                (before.records if before else 0) + len(values),
                before.first_offset if before else offsets[0],
                offsets[-1],
            )


@contextlib.contextmanager
def _interrupts_wait() -> Iterator[None]:
    """Raise `KeyboardInterrupt` only after the block, so that what was appended in it is counted, too."""
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    came: list[int] = []
    signal.signal(signal.SIGINT, lambda number, _: came.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if came:
            raise KeyboardInterrupt


@click.command()
@click.argument("topic")
@click.argument("file", required=False)
@click.option(
    "--format",
    "input_format",
    type=click.Choice(["lines", "jsonl", "csv"]),
    default="lines",
    show_default=True,
    help="Format of the input.",
)
@click.option("--key", "key_field", metavar="FIELD", help="Field of each JSON object or CSV row that becomes the key.")
@click.option("-p", "--partition", type=click.IntRange(min=0), help="Write everything to this partition.")
@click.option("--create", is_flag=True, help="Create the topic, with one partition, if it does not exist.")
@output.json_option
def produce(
    topic: str,
    file: str | None,
    input_format: str,
    key_field: str | None,
    partition: int | None,
    create: bool,
    as_json: bool,
) -> None:
    """Append the records in FILE, or standard input, to TOPIC.

    lines: every line is a value. jsonl: every line must be JSON and is stored as it is. csv: after a
    header line, every row becomes a JSON object whose values are strings.

    Without --partition, records with a key go where Kafka's clients would put them, and batches of records
    without a key go to the partitions in turn. Everything is on disk when the command ends.

    \b
    Example:
      eventlog produce orders orders.jsonl --format jsonl --key customer
      tail -f access.log | eventlog produce access --create
    """
    topic, numbers = narrow(topic, () if partition is None else (partition,))
    if len(numbers) > 1:
        raise click.UsageError(f"several partitions of {topic} are named: name the topic, or one of them")
    if key_field is not None and input_format == "lines":
        raise click.UsageError("--key needs fields: use --format jsonl or --format csv")
    with _open_input(file) as stream, open_store(create=create) as log:
        if create:
            _create_if_missing(log, topic)
        writer = _Writer(open_partitions(log, topic, numbers))
        _write(writer, stream, input_format, key_field, file or "standard input")
    _write_summary(topic, writer, as_json)


@contextlib.contextmanager
def _open_input(file: str | None) -> Iterator[BinaryIO]:
    if file is None or file == "-":
        with open(0, "rb", buffering=0, closefd=False) as stream:
            yield stream
    else:
        with open(file, "rb", buffering=0) as stream:
            yield stream


def _create_if_missing(log: EventLog, topic: str) -> None:
    try:
        log.topic(topic)
    except TopicNotFoundError:
        # Another process may create it at the same time; that is as good.
        with contextlib.suppress(TopicExistsError):
            log.create_topic(topic)


def _write(writer: _Writer, stream: BinaryIO, input_format: str, key_field: str | None, name: str) -> None:
    """Write all records of the stream. On a bad line, everything before it is written."""
    try:
        with _progress(stream) as on_bytes:
            lines = InputLines(stream.fileno(), writer.append_all, on_bytes)
            for record in _records(lines, input_format, key_field):
                writer.add(record)
        writer.flush()
    except BadLineError as error:
        writer.flush()
        raise click.ClickException(f"{name}: {error} ({_count(writer.records)} written)") from None
    except KeyboardInterrupt:
        click.echo(f"eventlog: interrupted, {_count(writer.records)} written", err=True)
        raise


def _records(lines: InputLines, input_format: str, key_field: str | None) -> Iterator[SourceRecord]:
    if input_format == "lines":
        return line_records(lines)
    if input_format == "jsonl":
        return json_records(lines, key_field)
    return csv_records(lines, key_field)


@contextlib.contextmanager
def _progress(stream: BinaryIO) -> Iterator[Callable[[int], None]]:
    """Show a progress bar while a file is read and standard error is a terminal; yield what counts bytes."""
    status = os.fstat(stream.fileno())
    if not stat.S_ISREG(status.st_mode) or sys.stderr is None or not sys.stderr.isatty():
        yield lambda size_bytes: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=status.st_size)
        yield lambda size_bytes: progress.update(task, advance=size_bytes)


def _write_summary(topic: str, writer: _Writer, as_json: bool) -> None:
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
