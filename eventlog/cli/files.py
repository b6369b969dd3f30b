"""Files that a command writes: whole, or not at all; and the lines of CSV in them."""

from __future__ import annotations

import contextlib
import csv
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

FORMATS = ("parquet", "arrow", "csv", "jsonl")


@contextlib.contextmanager
def whole_file(target: Path) -> Iterator[IO[bytes]]:
    """A file that gets its name when the block ends, and is removed if it fails."""
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    with open(partial, "xb") as stream:
        try:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
            os.replace(partial, target)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise


def csv_line(cells: Sequence[Any]) -> bytes:
    """A line of CSV: text and whole numbers as they are, nothing for None, all else as JSON."""
    written: list[str] = []
    csv.writer(_Lines(written)).writerow([cell if type(cell) in (str, int) else _json_cell(cell) for cell in cells])
    return "".join(written).encode("utf-8", "backslashreplace")


def _json_cell(cell: Any) -> str:
    return "" if cell is None else json.dumps(cell, ensure_ascii=False)


class _Lines:
    """What the csv module writes to."""

    def __init__(self, written: list[str]) -> None:
        self.write = written.append
