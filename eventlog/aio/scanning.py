"""Iteration over what takes long to read: a thread of the executor reads ahead, one chunk at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import TypeVar

_Item = TypeVar("_Item")

_CHUNK_ITEMS_MAX = 512
_CHUNK_BYTES = 256 * 1024


async def scan(begin: Callable[[], Iterator[_Item]], size_of: Callable[[_Item], int]) -> AsyncIterator[_Item]:
    """The items of an iterator, in order, and the error that ends it.

    The first chunk has one item, each one after it twice as many, so that a search returns what it finds first at once. A chunk
    ends once its items have 256 KiB, as `size_of` tells."""
    iterator, items_max = await asyncio.to_thread(begin), 1
    while True:
        items, failure, is_at_end = await asyncio.to_thread(_chunk, iterator, items_max, size_of)
        for item in items:
            yield item
        if failure is not None:
            raise failure
        if is_at_end:
            return
        items_max = min(2 * items_max, _CHUNK_ITEMS_MAX)


def _chunk(
    iterator: Iterator[_Item], items_max: int, size_of: Callable[[_Item], int]
) -> tuple[list[_Item], Exception | None, bool]:
    """The next items; the error that came after them; whether the end did."""
    items: list[_Item] = []
    size_bytes = 0
    try:
        for item in iterator:
            items.append(item)
            size_bytes += size_of(item)
            if len(items) == items_max or size_bytes >= _CHUNK_BYTES:
                return items, None, False
    except Exception as error:
        return items, error, False
    return items, None, True
