"""The named workloads: what is in an event, and many events of it, the same for every contender and every run with one seed."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar

BATCH_EVENTS = 1000

Headers = list[tuple[str, bytes]]

_WORDS = ["a", "the", "brown", "fox", "quick", "jumps", "order", "paid", "shipped", "returned", "pending", "refund", "pears"]
_KEYS = 1000

Item = TypeVar("Item")


@dataclass(frozen=True)
class Events:
    """Events by column. Columns that the workload does not have are None."""

    values: list[bytes]
    keys: list[bytes] | None = None
    headers: list[Headers] | None = None

    def __len__(self) -> int:
        return len(self.values)

    def rows(self) -> Iterable[tuple[Any, ...]]:
        """Each event as the arguments of an append: value, then key and headers where there are any."""
        return zip(*(column for column in (self.values, self.keys, self.headers) if column is not None), strict=True)

    def batches(self) -> Iterator[Events]:
        """The events in batches of 1,000."""
        for start in range(0, len(self), BATCH_EVENTS):
            part = slice(start, start + BATCH_EVENTS)
            yield Events(self.values[part], self.keys and self.keys[part], self.headers and self.headers[part])

    def bytes_of_one(self) -> int:
        """The bytes of one event, which are the same for all: value, key, names and values of headers."""
        key = len(self.keys[0]) if self.keys else 0
        headers = sum(len(name) + len(value) for name, value in self.headers[0]) if self.headers else 0
        return len(self.values[0]) + key + headers


@dataclass(frozen=True)
class Workload:
    """A kind of event: JSON text of a fixed size that compresses about as well as JSON does."""

    name: str
    value_bytes: int
    is_keyed: bool = False
    has_headers: bool = False
    compression: str | None = None

    def events(self, count: int, seed: int) -> Events:
        """That many events: a thousand different ones, again and again."""
        unit = _unit(self, seed)
        keys = unit.keys and _repeated(unit.keys, count)
        headers = unit.headers and _repeated(unit.headers, count)
        return Events(_repeated(unit.values, count), keys, headers)


def _repeated(items: list[Item], count: int) -> list[Item]:
    return (items * (count // len(items) + 1))[:count]


@cache
def _unit(workload: Workload, seed: int) -> Events:
    chance = random.Random(f"{seed} {workload.name}")
    values = [_value(chance, workload.value_bytes) for _ in range(BATCH_EVENTS)]
    keys = [b"customer-%04d" % chance.randrange(_KEYS) for _ in values] if workload.is_keyed else None
    headers = [[("trace", chance.randbytes(16)), ("source", b"benchmark")] for _ in values] if workload.has_headers else None
    return Events(values, keys, headers)


def _value(chance: random.Random, size: int) -> bytes:
    fields = {"order": chance.randrange(10**6), "total": chance.randrange(10**4), "note": ""}
    start = json.dumps(fields).encode()[:-2]
    note = " ".join(chance.choices(_WORDS, k=size // 4)).encode()
    return start + note[: size - len(start) - 2].ljust(size - len(start) - 2) + b'"}'


SMALL = Workload("100 B", 100)
LARGE = Workload("1 KiB", 1024)
KEYED = Workload("keyed", 100, is_keyed=True)
WITH_HEADERS = Workload("headers", 100, is_keyed=True, has_headers=True)
COMPRESSED = Workload("compressed", 100, compression="zstd")

WORKLOADS = [SMALL, LARGE, KEYED, WITH_HEADERS, COMPRESSED]
PARTITIONS = [1, 4, 16, 64]
PROCESSES = [1, 2, 4, 8]
