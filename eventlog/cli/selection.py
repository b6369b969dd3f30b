"""What the commands that read records share: which of them they mean, how many, and how they print them."""

from __future__ import annotations

import os
import re
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import click

from eventlog.cli import output
from eventlog.cli.parsing import Start, start_type, stop_type
from eventlog.cli.template import Template

if TYPE_CHECKING:
    from eventlog import EventLog, Partition, Record

Write = Callable[[Sequence["Record"]], None]

NO_LIMIT = sys.maxsize
CHUNK_RECORDS = 500
_Command = TypeVar("_Command", bound=Callable[..., Any])


def reading_options(command: _Command) -> _Command:
    """The options that consume and grep have in common, in one order and in the same words."""
    options = [
        click.option(
            "-p",
            "--partition",
            "partitions",
            type=click.IntRange(min=0),
            multiple=True,
            metavar="N",
            help="Only this partition; may be repeated.",
        ),
        click.option(
            "--from",
            "start",
            metavar="earliest|latest|OFFSET|TIME",
            type=start_type,
            show_default="earliest",
            help="Where to start. A bare number is an offset; a TIME is UTC unless it names a zone.",
        ),
        click.option("--to", "stop", metavar="OFFSET|TIME", type=stop_type, help="Only records before this offset or time."),
        click.option("--last", type=click.IntRange(min=1), metavar="N", help="Only the last N records of each partition."),
        click.option("-k", "--key", "keys", multiple=True, metavar="KEY", help="Only records with this key; may be repeated."),
        click.option(
            "--header",
            "headers",
            multiple=True,
            metavar="NAME[=VALUE]",
            help="Only records with this header; may be repeated: a record needs all of them.",
        ),
        click.option("-n", "--max", "max_records", type=click.IntRange(min=0), metavar="N", help="Stop after so many records."),
        click.option("-c", "--count", "is_count", is_flag=True, help="Print the number of records instead of the records."),
        click.option(
            "--format",
            "output_format",
            metavar="value|json|TEMPLATE",
            type=format_type,
            show_default="value",
            help="The value alone, the whole record as JSON, or a template such as '{offset} {key} {value.total}'.",
        ),
        click.option("-j", "--json", "as_json", is_flag=True, help="The same as --format json."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def format_type(text: str) -> Write:
    """The type of --format. Raises click.BadParameter."""
    if text == "value":
        return _write_values
    if text == "json":
        return _write_objects
    try:
        template = Template(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None

    def write(records: Sequence[Record]) -> None:
        output.standard_output().write(b"".join([template.render(record) + b"\n" for record in records]))

    return write


def _write_values(records: Sequence[Record]) -> None:
    values = [record.value or b"" for record in records]
    if output.is_terminal():
        values = list(map(output.for_terminal, values))
    output.standard_output().write(b"".join([value + b"\n" for value in values]))


def _write_objects(records: Sequence[Record]) -> None:
    for record in records:
        output.write_json(output.record_object(record))


class Span(NamedTuple):
    """A part of a partition: from one offset up to, not including, another."""

    partition: Partition
    first: int
    stop: int


@dataclass(frozen=True)
class Selection:
    """The options of `reading_options`, as they were given."""

    partitions: tuple[int, ...]
    start: Start | None
    stop: Start | None
    last: int | None
    keys: tuple[str, ...]
    headers: tuple[str, ...]
    max_records: int | None
    is_count: bool
    output_format: Write | None
    as_json: bool

    def __post_init__(self) -> None:
        """Raise click.UsageError for options that contradict each other."""
        if self.last is not None and self.start is not None:
            raise click.UsageError("--last cannot be combined with --from: both say where to start")
        if self.is_count and self.output_format is not None:
            raise click.UsageError("--count cannot be combined with --format: no record is printed")
        if self.as_json and self.output_format not in (None, _write_objects):
            raise click.UsageError("--json cannot be combined with another --format")

    @property
    def limit(self) -> int:
        """How many records to print at most."""
        return NO_LIMIT if self.max_records is None else self.max_records

    @property
    def write(self) -> Write:
        """How records are printed."""
        return _write_objects if self.as_json else self.output_format or _write_values

    def write_marked(self, pattern: bytes | re.Pattern[bytes], *, ignore_case: bool) -> Write:
        """How records are printed; values on a terminal with what the pattern matches in them made to stand out."""
        if self.write is not _write_values or not output.is_terminal() or os.environ.get("NO_COLOR"):
            return self.write
        flags = re.IGNORECASE if ignore_case else 0
        matcher = re.compile(re.escape(pattern), flags) if isinstance(pattern, bytes) else pattern

        def write(records: Sequence[Record]) -> None:
            lines = [output.marked(record.value or b"", matcher) + b"\n" for record in records]
            output.standard_output().write(b"".join(lines))

        return write

    def open_partitions(self, log: EventLog, topic: str) -> list[Partition]:
        """The partitions that are meant, in order."""
        count = log.topic(topic).partitions
        numbers = sorted(set(self.partitions)) if self.partitions else range(count)
        for option, limit in (("--from", self.start), ("--to", self.stop)):
            if limit is not None and limit.kind == "offset" and len(numbers) > 1:
                meant = f"{topic} has {count} partitions" if not self.partitions else f"it is given {len(numbers)} times"
                raise click.UsageError(f"an offset in {option} needs one --partition: {meant}")
        return [log.partition(topic, number) for number in numbers]

    def spans(self, partitions: Sequence[Partition]) -> list[Span]:
        """From where to where to read in each partition, up to the ends as they are now."""
        spans = []
        for partition in partitions:
            stop = partition.end_offset
            if self.stop is not None and self.stop.kind == "offset":
                stop = min(stop, self.stop.number)
            if self.last is not None:
                spans.append(Span(partition, _first_of_last(partition, self.last, stop), stop))
                continue
            first = (self.start or Start("earliest")).resolve(partition)
            if self.start is not None and self.start.kind == "offset":
                # Out of range is an error even when nothing would be printed.
                partition.read(first, max_records=1)
            spans.append(Span(partition, first, stop))
        return spans

    @property
    def is_filter(self) -> bool:
        """May there be records within the spans that are not meant?"""
        times = [limit for limit in (self.start, self.stop) if limit is not None and limit.kind == "time"]
        return bool(self.keys or self.headers or times)

    def filter(self, records: Iterable[Record]) -> Iterator[Record]:
        """The records that have the keys, headers and times that are meant."""
        return filter(self._test(), records) if self.is_filter else iter(records)

    def _test(self) -> Callable[[Record], bool]:
        keys = {_bytes(key) for key in self.keys}
        headers = [_header(text) for text in self.headers]
        since = self.start.number if self.start is not None and self.start.kind == "time" else None
        until = self.stop.number if self.stop is not None and self.stop.kind == "time" else None

        def is_meant(record: Record) -> bool:
            return (
                (not keys or record.key in keys)
                and (since is None or record.timestamp >= since)
                and (until is None or record.timestamp < until)
                and all(
                    any(name == wanted and (value is None or value == found) for name, found in record.headers)
                    for wanted, value in headers
                )
            )

        return is_meant

    def records(self, span: Span) -> Iterator[Record]:
        """The records of a span that are meant; for one key or one header, the others are not decoded."""
        partition, first, stop = span
        if first >= stop:
            return iter(())
        if not hasattr(partition, "search"):  # on a cluster, where every record is decoded
            return self.filter(partition.records(first, stop))
        if len(self.keys) == 1:
            return self.filter(partition.search(_bytes(self.keys[0]), first, stop, fields=["key"]))
        if self.headers:
            name, value = _header(self.headers[0])
            text = value or name.encode("utf-8", "surrogateescape")
            return self.filter(partition.search(text, first, stop, fields=["headers"]))
        return self.filter(partition.records(first, stop))

    def count(self, span: Span, limit: int) -> int:
        """How many records of a span are meant, at most `limit`."""
        partition, first, stop = span
        if self.is_filter:
            return sum(1 for _ in islice(self.records(span), limit))
        return sum(1 for _ in islice(partition.values(first, stop), limit)) if first < stop else 0


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _header(text: str) -> tuple[str, bytes | None]:
    name, equals, value = text.partition("=")
    return name, _bytes(value) if equals else None


def _first_of_last(partition: Partition, count: int, stop: int) -> int:
    """The offset of the first of the last `count` records before `stop`; with gaps by compaction it is further back."""
    start, span = partition.start_offset, count
    while True:
        first = max(start, stop - span)
        if first >= stop:
            return first
        offsets = deque((record.offset for record in partition.records(first, stop)), maxlen=count)
        if len(offsets) == count or first == start:
            return offsets[0] if offsets else first
        span *= 2


def write_records(records: Iterator[Record], limit: int, write: Write) -> int:
    """Print at most `limit` records, on a terminal each as soon as it is found; return how many."""
    is_prompt = output.is_terminal()
    written = 0
    records = islice(records, limit)
    while chunk := list(islice(records, 1 if is_prompt else CHUNK_RECORDS)):
        write(chunk)
        written += len(chunk)
        if is_prompt:
            output.flush()
    return written


def write_counts(topic: str, counts: dict[int, int], *, as_json: bool) -> None:
    """Print how many records each partition has, and the total."""
    total = sum(counts.values())
    if as_json:
        for partition, records in [*counts.items(), (None, total)]:
            output.write_json({"topic": topic, "partition": partition, "records": records})
    else:
        output.write_table(["PARTITION", "RECORDS"], [*counts.items(), ("total", total)])
