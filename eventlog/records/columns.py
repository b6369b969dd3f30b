"""Records as columns: buffers in the layout of Apache Arrow, which NumPy and Arrow use without a copy.

Source of the layout: https://arrow.apache.org/docs/format/Columnar.html, LargeBinary."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from importlib import import_module
from operator import index
from typing import Any

from eventlog.errors import EventLogError
from eventlog.records.arrow import Field, Node, address, array_capsule, record_fields, schema_capsule, table


class BytesColumn:
    """The keys or the values of consecutive records, one after the other in `data`; all buffers are read-only.

    Item i is `data[ends[i]:ends[i + 1]]`; `ends` are int64, one more than there are items. `validity` has a bit for each
    item, the lowest of a byte first, that is 0 where the item is null; it is None where none is."""

    __slots__ = ("data", "ends", "null_count", "validity")

    def __init__(self, data: memoryview, ends: memoryview, validity: memoryview | None, null_count: int) -> None:
        self.data = data
        self.ends = ends
        self.validity = validity
        self.null_count = null_count

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {len(self)} items, {len(self.data)} bytes, {self.null_count} null>"

    def __len__(self) -> int:
        return len(self.ends) - 1

    def __getitem__(self, item: int) -> memoryview | None:
        """One item, as a part of `data`; None for a null. Raises `IndexError`."""
        at = index(item)
        at += len(self) if at < 0 else 0
        if not 0 <= at < len(self):
            raise IndexError(f"item {item} of {len(self)}")
        if self.validity is not None and not self.validity[at >> 3] >> (at & 7) & 1:
            return None
        return self.data[self.ends[at] : self.ends[at + 1]]

    def __iter__(self) -> Iterator[memoryview | None]:
        return map(self.__getitem__, range(len(self)))


class HeadersColumn:
    """The headers of consecutive records: their `names` and `values`, one after the other; all buffers are read-only.

    Those of record i are the items `ends[i]` to `ends[i + 1]` of both. Names are UTF-8, with `?` for each byte that is not."""

    __slots__ = ("ends", "names", "values")

    def __init__(self, ends: memoryview, names: BytesColumn, values: BytesColumn) -> None:
        self.ends = ends
        self.names = names
        self.values = values

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {len(self)} records, {len(self.names)} headers>"

    def __len__(self) -> int:
        return len(self.ends) - 1

    def __getitem__(self, item: int) -> list[tuple[str, memoryview | None]]:
        """The headers of one record. Raises `IndexError`."""
        at = index(item)
        at += len(self) if at < 0 else 0
        if not 0 <= at < len(self):
            raise IndexError(f"item {item} of {len(self)}")
        return [(str(self.names[each] or b"", "utf-8"), self.values[each]) for each in range(self.ends[at], self.ends[at + 1])]

    def __iter__(self) -> Iterator[list[tuple[str, memoryview | None]]]:
        return map(self.__getitem__, range(len(self)))


class Columns:
    """Consecutive records: their `offsets` and `timestamps` (milliseconds since the epoch) as int64, `keys` and `values`.

    `headers` is None unless they were asked for, and `partition` the number of the partition if the records are those of a
    whole topic. Its length is the number of records. All buffers are read-only, and valid as long as they are held. Libraries
    that know Arrow's PyCapsule protocol (polars, pandas, pyarrow, DuckDB) take it as a table with the columns offset,
    timestamp, key and value, and partition and headers if there are any."""

    __slots__ = ("headers", "keys", "offsets", "partition", "timestamps", "values")

    def __init__(
        self,
        offsets: memoryview,
        timestamps: memoryview,
        keys: BytesColumn,
        values: BytesColumn,
        headers: HeadersColumn | None = None,
        partition: int | None = None,
    ) -> None:
        self.offsets = offsets
        self.timestamps = timestamps
        self.keys = keys
        self.values = values
        self.headers = headers
        self.partition = partition

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {len(self)} records>"

    def __len__(self) -> int:
        return len(self.offsets)

    def __arrow_c_schema__(self) -> object:
        """The types of the columns, in a capsule for Arrow's PyCapsule protocol."""
        return schema_capsule(self._fields())

    def __arrow_c_array__(self, requested_schema: object = None) -> tuple[object, object]:
        """The types and the memory of the columns, in capsules for Arrow's PyCapsule protocol. They are as they are, whatever
        types were requested, as the protocol allows."""
        return schema_capsule(self._fields()), array_capsule(*self.arrow_node())

    def _fields(self) -> Field:
        return record_fields(has_partition=self.partition is not None, has_headers=self.headers is not None)

    def arrow_node(self) -> tuple[Node, object]:
        """The columns as Arrow's C data interface describes them, and an object that holds their memory."""
        count, owner = len(self), [self]
        nodes = [_numbers_node(self.offsets), _numbers_node(self.timestamps), _bytes_node(self.keys), _bytes_node(self.values)]
        if self.partition is not None:
            numbers = memoryview(array("i", [self.partition]) * count)
            owner.append(numbers)  # type: ignore[arg-type]
            nodes.insert(0, _numbers_node(numbers))
        if self.headers is not None:
            items = len(self.headers.names)
            pairs = table(items, (_bytes_node(self.headers.names), _bytes_node(self.headers.values)))
            nodes.append(Node(count, 0, (0, address(self.headers.ends)), (pairs,)))
        return table(count, tuple(nodes)), owner

    def numpy(self) -> dict[str, Any]:
        """NumPy arrays over the same memory: `offsets`, `timestamps`, and `key_data`, `key_ends`, `key_validity`, `value_data`,
        `value_ends` and `value_validity` as in `BytesColumn`. Raises `EventLogError` without NumPy."""
        numpy = library("numpy")

        def array(buffer: memoryview | None) -> Any:
            return None if buffer is None else numpy.asarray(buffer)

        arrays = {"offsets": array(self.offsets), "timestamps": array(self.timestamps)}
        for name, column in (("key", self.keys), ("value", self.values)):
            arrays[f"{name}_data"] = array(column.data)
            arrays[f"{name}_ends"] = array(column.ends)
            arrays[f"{name}_validity"] = array(column.validity)
        return arrays

    def arrow(self) -> Any:
        """A `pyarrow.RecordBatch` over this memory: offset, timestamp, key, value. Raises `EventLogError` without pyarrow."""
        return library("pyarrow").record_batch(self)


def _numbers_node(numbers: memoryview) -> Node:
    return Node(len(numbers), 0, (0, address(numbers)))


def _bytes_node(column: BytesColumn) -> Node:
    addresses = (address(column.validity), address(column.ends), address(column.data))
    return Node(len(column), column.null_count, addresses)


def library(name: str) -> Any:
    """A module of a library that the extra `columns` installs. Raises `EventLogError`."""
    try:
        return import_module(name)
    except ImportError as error:
        raise EventLogError(f"{name} is needed here and cannot be imported: pip install 'eventlog-store[columns]'") from error
