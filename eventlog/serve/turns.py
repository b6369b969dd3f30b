"""Long lists of clients, gone through without keeping other connections waiting."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import TypeVar

_SECONDS_MAX = 0.002  # before other connections get a turn

_Item = TypeVar("_Item")


async def in_turns(items: Iterable[_Item]) -> AsyncIterator[_Item]:
    """The items of a list, with a turn for other connections every now and then."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    for item in items:
        yield item
        if loop.time() - began > _SECONDS_MAX:
            await asyncio.sleep(0)
            began = loop.time()
