"""The records of a topic as columns, partition by partition, for programs that compute on many of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TypedDict

from eventlog.clock import Time
from eventlog.errors import InvalidTypeError
from eventlog.log import Log
from eventlog.options import check_bool
from eventlog.records.arrow import record_fields, schema_capsule, stream_capsule
from eventlog.records.columns import Columns
from eventlog.storage.partition.columns import ColumnSelection
from eventlog.storage.partition.partition import Partition

_COUNT_MAX = 65_536


class _Options(TypedDict):
    since: Time | None
    until: Time | None
    headers: bool
    durable: bool


def open_columns(
    log: Log,
    topic: str,
    partitions: Iterable[int] | None,
    since: Time | None,
    until: Time | None,
    *,
    headers: bool,
    durable: bool,
) -> TopicColumns:
    """The same as `EventLog.columns`."""
    count = log.topic(topic).partitions
    if isinstance(partitions, int):
        raise InvalidTypeError("partitions must be numbers in a list, not an int")
    numbers = list(range(count) if partitions is None else partitions)
    for number in numbers:
        log.partition(topic, number)
    ColumnSelection.of(since, until, has_headers=check_bool("headers", headers))
    check_bool("durable", durable)
    return TopicColumns(log, topic, numbers, _Options(since=since, until=until, headers=headers, durable=durable))


class TopicColumns:
    """The records of a topic, as an iterable of `Columns` that have a `partition`, and as a stream of Arrow.

    Libraries that know Arrow's PyCapsule protocol take it as a table with the columns partition, offset, timestamp, key and
    value, and headers if they were asked for: `polars.DataFrame(orders)`, `pyarrow.table(orders)`, DuckDB's `from orders`. It
    may be read any number of times; each time it ends where the partitions end then. Memory is needed for one block of the
    log at a time."""

    def __init__(self, log: Log, topic: str, numbers: Sequence[int], options: _Options) -> None:
        self._log = log
        self._topic = topic
        self._numbers = numbers
        self._options = options
        self._schema = record_fields(has_partition=True, has_headers=options["headers"])

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._topic!r}>"

    def __iter__(self) -> Iterator[Columns]:
        partitions = [self._log.partition(self._topic, number) for number in self._numbers]
        ends = [partition.end_offset for partition in partitions]
        for partition, end in zip(partitions, ends, strict=True):
            for columns in partition.columns(self._first(partition), end, count_max=_COUNT_MAX, **self._options):
                columns.partition = partition.partition
                yield columns

    def _first(self, partition: Partition) -> int | None:
        since = self._options["since"]
        if since is None:
            return None
        first = partition.offset_for_time(since)
        return partition.end_offset if first is None else first

    def __arrow_c_schema__(self) -> object:
        """The types of the columns, in a capsule for Arrow's PyCapsule protocol."""
        return schema_capsule(self._schema)

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """The columns, in a capsule for Arrow's PyCapsule protocol. The types are as they are, whatever was requested, as the
        protocol allows."""
        return stream_capsule(self._schema, (columns.arrow_node() for columns in self))
