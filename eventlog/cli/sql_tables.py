"""Topics, offsets and groups as tables of a DuckDB connection, each of which is read when a query asks for it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import click

from eventlog.cli.offsets import offset_rows
from eventlog.cli.selection import Span
from eventlog.cli.spelling import closest
from eventlog.cli.store import open_partitions
from eventlog.errors import GroupNotFoundError, TopicNotFoundError
from eventlog.records.arrow import record_fields, schema_capsule, stream_capsule
from eventlog.records.columns import library

if TYPE_CHECKING:
    from eventlog import EventLog

COLUMNS = ("partition", "offset", "timestamp", "key", "value", "headers")

_MISSING = re.compile(r'Table with name "?(?P<name>.+?)"? does not exist')
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")
# Text if it is UTF-8, else as DuckDB shows bytes, with escapes: an error in a single record would end every query.
_AS_TEXT = "coalesce(try(decode({0})), {0}::varchar)"


class TopicScan:
    """The records of a topic as a stream of Arrow, for any number of scans, which all end where the first one does."""

    def __init__(self, log: EventLog, topic: str, since: int | None, until: int | None) -> None:
        self._log = log
        self._topic = topic
        self._since = since
        self._until = until
        self._schema = record_fields(has_partition=True, has_headers=True)

    @cached_property
    def _spans(self) -> list[Span]:
        partitions = open_partitions(self._log, self._topic)
        ends = [partition.end_offset for partition in partitions]
        if self._since is None:
            starts: Sequence[int | None] = [partition.start_offset for partition in partitions]
        else:
            starts = [partition.offset_for_time(self._since) for partition in partitions]
        spans = zip(partitions, starts, ends, strict=True)
        return [Span(partition, first, end) for partition, first, end in spans if first is not None and first < end]

    def _nodes(self) -> Iterator[Any]:
        for partition, first, end in self._spans:
            for columns in partition.columns(first, end, headers=True, since=self._since, until=self._until):
                columns.partition = partition.partition
                yield columns.arrow_node()

    def __arrow_c_schema__(self) -> object:
        """The types of the columns, in a capsule for Arrow's PyCapsule protocol."""
        return schema_capsule(self._schema)

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """The columns, in a capsule for Arrow's PyCapsule protocol."""
        return stream_capsule(self._schema, self._nodes())


class Tables:
    """What a query may name: each topic, and the tables of offsets and groups."""

    def __init__(
        self, connection: Any, log: EventLog, *, since: int | None, until: int | None, is_binary: bool, fields: Sequence[str]
    ) -> None:
        self._connection = connection
        self._log = log
        self._limits = since, until
        self._projection = ", ".join(_projected(is_binary, fields))
        self._topics = log.topics()

    def create(self, query: str) -> None:
        """Create the tables whose names occur in the query; all, if no topic's does, because it may list them. Nothing is read
        yet. Raises click.ClickException if two of them differ only in case."""
        named = self._named(query)
        for topic in named or self._topics:
            source = self._connection.from_arrow(TopicScan(self._log, topic, *self._limits))
            source.project(self._projection).create_view(topic)
        for name, rows, types in _TABLES:
            if (name in query.lower() or not named) and name not in self._topics:
                self._create_small(name, rows, types)

    def _named(self, query: str) -> list[str]:
        lowered = query.lower()
        named: dict[str, list[str]] = {}
        for topic in self._topics:
            if topic.lower() in lowered:
                named.setdefault(topic.lower(), []).append(topic)
        meant = [[topic for topic in topics if topic in query] or topics for topics in named.values()]
        for first, *others in meant:
            if others:
                raise click.ClickException(f"SQL does not tell {first} from {others[0]}: write one of the names as it is")
        return [first for first, *_ in meant]

    def _create_small(self, name: str, rows: Callable[[EventLog], Iterator[dict[str, Any]]], types: dict[str, str]) -> None:
        arrow = library("pyarrow")
        schema = arrow.schema(list(types.items()))
        self._connection.from_arrow(arrow.Table.from_pylist(list(rows(self._log)), schema)).create_view(name)

    def hint(self, message: str, query: str) -> str:
        """What may help against an error of DuckDB, as the end of its message; empty if nothing is known."""
        missing = _MISSING.search(message)
        meant = closest(missing["name"], self._topics) if missing is not None else None
        if meant is not None and missing is not None and meant.lower() != missing["name"].lower():
            return f": did you mean {_quoted(meant)}?"
        bare = _QUOTED.sub("", query).lower()
        unquoted = [topic for topic in self._topics if not topic.isidentifier() and topic.lower() in bare]
        return f": quote the name of a topic with dots or dashes, {_quoted(max(unquoted, key=len))}" if unquoted else ""


def _quoted(name: str) -> str:
    return name if name.isidentifier() else f'"{name}"'


def _projected(is_binary: bool, fields: Sequence[str]) -> Iterator[str]:
    """The columns of a topic's table, as DuckDB computes them from those of the scan, and only if a query needs them."""
    text = "{0}" if is_binary else _AS_TEXT
    yield from ("partition", '"offset"', '"timestamp"', text.format("key") + " as key", text.format("value") + " as value")
    yield "headers"
    for name in fields:
        path = '$."' + name.replace("\\", "\\\\").replace('"', '\\"').replace("'", "''") + '"'
        column = '"' + name.replace('"', '""') + '"'
        yield f"case when json_valid(try(decode(value))) then try(decode(value)) ->> '{path}' end as {column}"


def _offsets(log: EventLog) -> Iterator[dict[str, Any]]:
    for topic in log.topics():
        try:
            found = log.offsets(topic)
        except TopicNotFoundError:
            continue  # deleted meanwhile
        yield from ({"topic": topic, **row} for row in offset_rows(found))


def _groups(log: EventLog) -> Iterator[dict[str, Any]]:
    for name in log.groups():
        try:
            progress = log.group(name).progress()
        except GroupNotFoundError:
            continue  # deleted meanwhile
        for (topic, partition), each in progress.items():
            yield {
                "group": name, "topic": topic, "partition": partition, "committed": each.committed, "end": each.end_offset,
                "lag": each.lag, "lag_bytes": each.lag_bytes, "lag_seconds": each.lag_seconds,
            }  # fmt: skip


_TABLES: tuple[tuple[str, Callable[[EventLog], Iterator[dict[str, Any]]], dict[str, str]], ...] = (
    (
        "eventlog_offsets",
        _offsets,
        {
            "topic": "string", "partition": "int32", "start_offset": "int64", "end_offset": "int64", "durable_offset": "int64",
            "records": "int64",
        },
    ),
    (
        "eventlog_groups",
        _groups,
        {
            "group": "string", "topic": "string", "partition": "int32", "committed": "int64", "end": "int64", "lag": "int64",
            "lag_bytes": "int64", "lag_seconds": "float64",
        },
    ),
)  # fmt: skip
