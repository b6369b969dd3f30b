"""Long lists of clients, gone through without keeping other connections waiting."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import TypeVar

_ITEMS_MAX = 200  # before other connections get a turn

_Item = TypeVar("_Item")


async def in_turns(items: Iterable[_Item]) -> AsyncIterator[_Item]:
    """The items of a list, with a turn for other connections every now and then."""
    for number, item in enumerate(items, 1):
        yield item
        if number % _ITEMS_MAX == 0:
            await asyncio.sleep(0)
