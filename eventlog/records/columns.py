"""Records as columns: buffers in the layout of Apache Arrow, which NumPy and Arrow use without a copy.

Source of the layout: https://arrow.apache.org/docs/format/Columnar.html, LargeBinary."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from operator import index
from typing import Any

from eventlog.errors import EventLogError


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


class Columns:
    """Consecutive records: their `offsets` and `timestamps` (milliseconds since the epoch) as int64, `keys` and `values`.

    Its length is the number of records. All buffers are read-only, and valid as long as they are held."""

    __slots__ = ("keys", "offsets", "timestamps", "values")

    def __init__(self, offsets: memoryview, timestamps: memoryview, keys: BytesColumn, values: BytesColumn) -> None:
        self.offsets = offsets
        self.timestamps = timestamps
        self.keys = keys
        self.values = values

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {len(self)} records>"

    def __len__(self) -> int:
        return len(self.offsets)

    def numpy(self) -> dict[str, Any]:
        """NumPy arrays over the same memory: `offsets`, `timestamps`, and `key_data`, `key_ends`, `key_validity`, `value_data`,
        `value_ends` and `value_validity` as in `BytesColumn`. Raises `EventLogError` without NumPy."""
        numpy = _library("numpy")

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
        arrow = _library("pyarrow")
        count = len(self)

        def numbers(kind: Any, buffer: memoryview) -> Any:
            return arrow.Array.from_buffers(kind, count, [None, arrow.py_buffer(buffer)], null_count=0)

        def strings(column: BytesColumn) -> Any:
            validity = None if column.validity is None else arrow.py_buffer(column.validity)
            buffers = [validity, arrow.py_buffer(column.ends), arrow.py_buffer(column.data)]
            return arrow.Array.from_buffers(arrow.large_binary(), count, buffers, null_count=column.null_count)

        return arrow.record_batch({
            "offset": numbers(arrow.int64(), self.offsets),
            "timestamp": numbers(arrow.timestamp("ms", tz="UTC"), self.timestamps),
            "key": strings(self.keys),
            "value": strings(self.values),
        })  # fmt: skip


def _library(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        raise EventLogError(f"{name} is needed here and cannot be imported: pip install 'eventlog[columns]'") from error
